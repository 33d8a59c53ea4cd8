"""A coupon in words, for operators: what it takes off, for how long, and what limits it."""

from collections.abc import Iterator, Mapping

from mpanel_billing import money
from mpanel_billing.catalogue.model import Coupon


def discount_text(coupon: Coupon) -> str:
    """Return what a coupon takes off."""
    if coupon.amounts_off:
        return f"{in_each_currency(coupon.amounts_off)} off"
    return f"{float(coupon.percent_off or 0):g} % off"


def duration_text(coupon: Coupon) -> str:
    """Return for how long a coupon applies, in Stripe's words."""
    if coupon.duration == "repeating":
        return f"for {coupon.duration_in_months} months"
    return coupon.duration


def limit_texts(coupon: Coupon) -> Iterator[str]:
    """Yield what limits a coupon."""
    if coupon.products:
        yield f"only for {', '.join(coupon.products)}"
    if coupon.minimums:
        yield f"from {in_each_currency(coupon.minimums)}"
    if coupon.max_redemptions is not None:
        yield f"{coupon.max_redemptions} orders"
    if coupon.max_per_customer is not None:
        yield f"{coupon.max_per_customer} per customer"
    if coupon.first_order_only:
        yield "first order only"
    if coupon.retention:
        yield "only offered at cancellation"
    if coupon.expires_at is not None:
        yield f"until {coupon.expires_at.isoformat()}"


def in_each_currency(amounts: Mapping[str, int]) -> str:
    """Format amounts by currency: `$5.00 or ¥750`."""
    return " or ".join(money.format_money(amount, code) for code, amount in amounts.items())
