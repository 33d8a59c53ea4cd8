"""Stripe's promotion codes as coupons: what the catalogue does not name, Stripe may."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mpanel_billing.catalogue.model import Catalogue, Coupon, CouponDuration


@dataclass(frozen=True, slots=True)
class PromotionCode:
    """An active promotion code with its coupon, by Stripe's ids; amounts in minor units.

    `currency` is that of `amount_off`, `minimum_currency` that of `minimum_amount`. With
    `customer`, only they may redeem it; with `products`, it is taken off these only.
    """

    id: str
    code: str
    customer: str | None
    coupon_id: str
    name: str | None
    percent_off: Decimal | None
    amount_off: int | None
    currency: str | None
    duration: CouponDuration
    duration_in_months: int | None
    products: tuple[str, ...]
    expires_at: datetime | None
    first_time_only: bool
    minimum_amount: int | None
    minimum_currency: str | None


def choose(
    found: Sequence[PromotionCode], catalogue: Catalogue, customers: AbstractSet[str]
) -> Coupon | None:
    """Return the customer's own code, else the one for everybody, as a coupon."""
    own = [one for one in found if one.customer in customers]
    for one in (*own, *(one for one in found if one.customer is None)):
        if coupon := _as_coupon(one, catalogue):
            return coupon
    return None


def _as_coupon(found: PromotionCode, catalogue: Catalogue) -> Coupon | None:
    """Return the coupon; None for one that is for nothing that is sold, or for two currencies."""
    codes = tuple(
        product.code
        for product in catalogue.products
        if product.stripe_product_id in found.products
    )
    currencies = {found.currency, found.minimum_currency} - {None}
    if (found.products and not codes) or len(currencies) > 1:
        return None
    return Coupon(
        code=found.code,
        name=found.name or found.code,
        percent_off=found.percent_off,
        amount_off=found.amount_off,
        currency=next(iter(currencies), None),
        duration=found.duration,
        duration_in_months=found.duration_in_months,
        stripe_coupon_id=found.coupon_id,
        expires_at=found.expires_at,
        products=codes,
        first_order_only=found.first_time_only,
        minimum_amount=found.minimum_amount,
        stripe_promotion_code=found.id,
    )
