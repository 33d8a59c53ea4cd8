"""Stripe's promotion codes as coupons: what the catalogue does not name, Stripe may."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from mpanel_billing.catalogue.model import Catalogue, Coupon, CouponDuration


@dataclass(frozen=True, slots=True)
class PromotionCode:
    """An active promotion code with its coupon, by Stripe's ids; amounts in minor units.

    `amounts_off` and `minimums` are by currency: what is taken off (empty: a percentage), and what
    the order must come to (empty: anything). With `customer`, only they may redeem it; with
    `products`, it is taken off these only.
    """

    id: str
    code: str
    customer: str | None
    coupon_id: str
    name: str | None
    percent_off: Decimal | None
    amounts_off: Mapping[str, int]
    duration: CouponDuration
    duration_in_months: int | None
    products: tuple[str, ...]
    expires_at: datetime | None
    first_time_only: bool
    minimums: Mapping[str, int]

    @property
    def currencies(self) -> tuple[str, ...]:
        """The currencies that it can be redeemed in, in Stripe's order; none named: all."""
        named = self.amounts_off or self.minimums
        both = (self.amounts_off or named, self.minimums or named)
        return tuple(one for one in named if all(one in amounts for amounts in both))


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
    """Return the coupon; None for one that is for nothing that is sold, or for no currency."""
    codes = tuple(
        product.code
        for product in catalogue.products
        if product.stripe_product_id in found.products
    )
    own, *others = found.currencies or (None,)
    is_for_none = own is None and (found.amounts_off or found.minimums)
    if (found.products and not codes) or is_for_none:
        return None
    return Coupon(
        code=found.code,
        name=found.name or found.code,
        percent_off=found.percent_off,
        amount_off=found.amounts_off.get(own or ""),
        currency=own,
        duration=found.duration,
        duration_in_months=found.duration_in_months,
        stripe_coupon_id=found.coupon_id,
        expires_at=found.expires_at,
        products=codes,
        first_order_only=found.first_time_only,
        minimum_amount=found.minimums.get(own or ""),
        stripe_promotion_code=found.id,
        amount_off_in=_in_others(found.amounts_off, others),
        minimum_amount_in=_in_others(found.minimums, others),
    )


def _in_others(amounts: Mapping[str, int], currencies: Sequence[str]) -> Mapping[str, int]:
    return {one: amounts[one] for one in currencies if one in amounts}
