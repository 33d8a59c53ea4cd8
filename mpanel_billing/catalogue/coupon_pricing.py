"""The coupon of an order: whether it is valid for it, and what it takes off."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import NoReturn

from mpanel_billing import money
from mpanel_billing.catalogue.model import Catalogue, Coupon
from mpanel_billing.catalogue.not_sold import shown
from mpanel_billing.catalogue.order import Order, OrderLine
from mpanel_billing.errors import InvalidRequestError


def find_coupon(catalogue: Catalogue, order: Order) -> Coupon | None:
    """Find the order's coupon; the error does not list the coupons that exist."""
    if order.coupon_code is None:
        return None
    coupon = catalogue.find_coupon(order.coupon_code)
    if coupon is None or coupon.retention:
        msg = f'The coupon "{shown(order.coupon_code)}" is not valid.'
        raise InvalidRequestError(
            msg, code="unknown_coupon", fields={"couponCode": "not a valid coupon"}
        )
    return coupon.in_currency(order.currency) or _refuse_coupon(coupon, order.currency)


def check_coupon(catalogue: Catalogue, coupon: Coupon | None, lines: Sequence[OrderLine]) -> None:
    """Refuse a coupon for other products, or for larger orders."""
    if coupon is None:
        return
    if coupon.products and not {line.code for line in lines}.intersection(coupon.products):
        named = [product.name for product in catalogue.products if product.code in coupon.products]
        msg = f'The coupon "{coupon.code}" is only valid for: {", ".join(named)}.'
        raise InvalidRequestError(
            msg, code="coupon_not_for_order", fields={"couponCode": "not valid for this order"}
        )
    minimum = coupon.minimum_amount
    if minimum is not None and sum(line.amount for line in lines) < minimum:
        least = money.format_money(minimum, str(coupon.currency))
        msg = f'The coupon "{coupon.code}" is only valid for orders of {least} or more.'
        raise InvalidRequestError(
            msg, code="coupon_below_minimum", fields={"couponCode": f"needs an order of {least}"}
        )


def _refuse_coupon(coupon: Coupon, currency: str) -> NoReturn:
    valid = ", ".join(sorted(coupon.currencies)).upper()
    raise InvalidRequestError(
        f'The coupon "{coupon.code}" is not valid for payments in {shown(currency).upper()}.',
        code="coupon_not_in_currency",
        fields={"couponCode": f"only valid in {valid}"},
    )


def discount_of(coupon: Coupon | None, lines: Iterable[OrderLine], currency: str) -> int:
    """Return the coupon's discount; half a minor unit rounds in the buyer's favour.

    The percentage applies to a sum, not to each line, as Stripe discounts an invoice: a sum of
    rounded lines could differ by cents.
    """
    if coupon is None:
        return 0
    subtotal = sum(line.amount for line in lines if _is_discounted(coupon, line))
    if coupon.amount_off is not None:
        return min(coupon.amount_off, subtotal)
    percent = coupon.percent_off or Decimal(0)
    return money.round_to_step(subtotal * percent / 100, currency)


def net_domains(coupon: Coupon | None, lines: Sequence[OrderLine], discount: int) -> dict[str, int]:
    """Return what each charged domain costs, less its share of the discount (rounded down)."""
    discounted = [line for line in lines if coupon and _is_discounted(coupon, line)]
    base = sum(line.amount for line in discounted) or 1

    def share_of(line: OrderLine) -> int:
        share = discount * line.amount // base if line in discounted else 0
        return money.floor_to_step(share, line.price.currency)

    return {line.domain: line.amount - share_of(line) for line in lines if line.domain is not None}


def _is_discounted(coupon: Coupon, line: OrderLine) -> bool:
    """Return whether Stripe takes the coupon off a line.

    What is charged once after a trial is an amount without a product there, which a coupon for
    certain products leaves out.
    """
    if not coupon.products:
        return True
    return line.code in coupon.products and (line.recurring or line.when == "at_checkout")
