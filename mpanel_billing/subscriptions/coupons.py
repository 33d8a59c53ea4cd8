"""Apply a coupon to a subscription that runs, and take one off again.

Coupons are those of the catalogue, and promotion codes of Stripe. Why a code is not valid is not
told: whoever tries codes hears one sentence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from mpanel_billing.catalogue.model import Catalogue, Coupon
from mpanel_billing.catalogue.service import read_catalogue
from mpanel_billing.checkout.limits import is_used_up
from mpanel_billing.checkout.promotion_codes import with_promotion_code
from mpanel_billing.checkout.repository.redemptions import Asking, list_redemptions_of_customer
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.subscriptions import (
    HeldDiscount,
    list_discounts,
    preview_discounts,
    redeeming,
)
from mpanel_billing.subscriptions.lifecycle import (
    COUPON,
    REASON,
    Changed,
    ChangeRequest,
    make_change,
    refresh,
    require_changeable,
)
from mpanel_billing.subscriptions.lookup import CustomerRef, may_reach, require_customer
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.schedules import releasing

MOST_REDEMPTIONS = 100


@dataclass(frozen=True, slots=True)
class CouponPreview:
    """What the next invoice comes to as it stands, and with the change of discounts.

    In minor units of `currency`, before the customer's balance; None: there is no further invoice.
    """

    currency: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class ValidCoupon:
    """A coupon that a subscription can have, and what it does."""

    coupon: Coupon
    preview: CouponPreview


@dataclass(frozen=True, slots=True)
class _Found:
    """What was read before a change: the catalogue with the code, and what Stripe has now."""

    catalogue: Catalogue
    discounts: Sequence[HeldDiscount]


async def preview_coupon(
    mirror: Mirror, request: ChangeRequest, code: str, *, promotion_codes: bool
) -> ValidCoupon | None:
    """Return what a code takes off the subscription's next invoice; None: it is not valid for it.

    ConflictError for a subscription that cannot be changed now; NotFoundError, StripeError.
    """
    held = await refresh(mirror, request)
    found = await _look(mirror, held, code, promotion_codes=promotion_codes)
    async with acquired(mirror.pool) as conn:
        held = await _require_discountable(conn, mirror, request)
        coupon = await _find_valid(conn, mirror, held, found, code)
    if coupon is None:
        return None
    return ValidCoupon(coupon, await _previewed(mirror, held, _added(found, coupon)))


async def apply_coupon(
    mirror: Mirror, request: ChangeRequest, code: str, *, reason: str | None, promotion_codes: bool
) -> Changed:
    """Give a subscription the discount of a code, beside those that it has.

    ConflictError if the code is not valid for it; NotFoundError, StripeError.
    """
    written = _canonical(code)
    looked: list[_Found] = []

    async def prepare() -> None:
        async with acquired(mirror.pool) as conn:
            held = await require_changeable(conn, mirror, request)
        looked[:] = [await _look(mirror, held, written, promotion_codes=promotion_codes)]

    async def decide(conn: Connection) -> Mapping[str, Any]:
        held = await _require_discountable(conn, mirror, request)
        (found,) = looked
        if _has(held, found, written):
            raise ConflictError(
                "This subscription has the discount already.", code="coupon_applied"
            )
        coupon = await _find_valid(conn, mirror, held, found, written)
        if coupon is None:
            raise ConflictError(
                "This code is not valid for this subscription.", code="coupon_not_valid"
            )
        why = {REASON: reason} if reason else {}
        return {"discounts": _added(found, coupon), COUPON: written, **releasing(held), **why}

    asked = {"couponCode": written, "reason": reason}
    return await make_change(mirror, request, "apply_coupon", asked, decide, prepare=prepare)


async def preview_removal(mirror: Mirror, request: ChangeRequest, coupon: str) -> CouponPreview:
    """Return what the next invoice comes to without a coupon's discount.

    `coupon` is its id at Stripe, which is that of the catalogue. ConflictError if the subscription
    has no such discount, or cannot be changed now; NotFoundError, StripeError.
    """
    held = await refresh(mirror, request)
    found = await list_discounts(mirror.stripe, held.stripe_id or "")
    async with acquired(mirror.pool) as conn:
        held = await _require_discountable(conn, mirror, request)
    return await _previewed(mirror, held, _without(held, found, coupon))


async def remove_coupon(
    mirror: Mirror, request: ChangeRequest, coupon: str, *, reason: str | None
) -> Changed:
    """Take the discount of a coupon off a subscription, from its next invoice on.

    ConflictError if it has no such discount; NotFoundError, StripeError.
    """
    discounts: list[HeldDiscount] = []

    async def prepare() -> None:
        async with acquired(mirror.pool) as conn:
            held = await require_changeable(conn, mirror, request)
        discounts[:] = await list_discounts(mirror.stripe, held.stripe_id or "")

    async def decide(conn: Connection) -> Mapping[str, Any]:
        held = await _require_discountable(conn, mirror, request)
        kept = _without(held, discounts, coupon)
        why = {REASON: reason} if reason else {}
        return {"discounts": kept or "", **releasing(held), **why}

    asked = {"coupon": coupon, "reason": reason}
    return await make_change(mirror, request, "remove_coupon", asked, decide, prepare=prepare)


def _canonical(code: str) -> str:
    return code.strip().upper()


async def _look(mirror: Mirror, held: Subscription, code: str, *, promotion_codes: bool) -> _Found:
    """Ask for the code, and for the discounts that the subscription has."""
    catalogue = await read_catalogue(mirror.pool, livemode=mirror.livemode)
    if promotion_codes:
        own = frozenset([held.stripe_customer_id] if held.stripe_customer_id else [])
        catalogue = await with_promotion_code(mirror.stripe, catalogue, code, own)
    return _Found(catalogue, await list_discounts(mirror.stripe, held.stripe_id or ""))


async def _require_discountable(
    conn: Connection, mirror: Mirror, request: ChangeRequest
) -> Subscription:
    held = await require_changeable(conn, mirror, request)
    if held.to_come:
        raise ConflictError(
            "A change is planned for the end of the term, and its price is agreed. Undo it first.",
            code="change_planned",
        )
    return held


async def _find_valid(
    conn: Connection, mirror: Mirror, held: Subscription, found: _Found, code: str
) -> Coupon | None:
    """Return the coupon of a code if the subscription can have it; locks what it counts."""
    coupon = found.catalogue.coupons_by_code.get(_canonical(code))
    if coupon is None or _has(held, found, code) or not suits(coupon, held):
        return None
    asking = Asking(
        held.id, held.customer_id or held.id, b"", vouched=True, livemode=mirror.livemode
    )
    return None if await is_used_up(conn, coupon, asking) else coupon


def suits(coupon: Coupon, held: Subscription) -> bool:
    """Return whether a coupon is for what a running subscription has.

    One for the first order is not, nor what is only offered to stay.
    """
    if coupon.redeemed_by is None or coupon.retention or coupon.first_order_only:
        return False
    if coupon.currency not in {None, held.currency} or held.amount < (coupon.minimum_amount or 0):
        return False
    return not coupon.products or any(item.code in coupon.products for item in held.items)


def _has(held: Subscription, found: _Found, code: str) -> bool:
    coupon = found.catalogue.coupons_by_code.get(_canonical(code))
    if coupon is None:
        return False
    had = {one.coupon for one in found.discounts} | {one.coupon for one in held.discounts}
    return coupon.stripe_coupon_id in had


def _added(found: _Found, coupon: Coupon) -> list[dict[str, str]]:
    """Return the discounts that the subscription has, and the coupon's."""
    return [*_kept(found.discounts), redeeming(coupon.redeemed_by or "")]


def _kept(discounts: Sequence[HeldDiscount]) -> list[dict[str, str]]:
    return [{"discount": one.id} for one in discounts]


def _without(
    held: Subscription, discounts: Sequence[HeldDiscount], coupon: str
) -> list[dict[str, str]]:
    """Return the discounts that stay; ConflictError if none is of the coupon."""
    staying = [one for one in discounts if one.coupon != coupon]
    if len(staying) < len(discounts):
        return _kept(staying)
    if any(one.coupon == coupon for one in held.discounts if one.item_id):
        raise ConflictError(
            "This discount is that of one item, not of the subscription. Take it off in Stripe's"
            " dashboard.",
            code="coupon_of_item",
        )
    raise ConflictError(
        "This subscription has no discount of this coupon.", code="coupon_not_applied"
    )


async def _previewed(
    mirror: Mirror, held: Subscription, discounts: Sequence[Mapping[str, str]]
) -> CouponPreview:
    stripe_id = held.stripe_id or ""
    before = await preview_discounts(mirror.stripe, stripe_id, None)
    after = await preview_discounts(mirror.stripe, stripe_id, discounts)
    return CouponPreview(
        held.currency, before.total if before else None, after.total if after else None
    )


async def list_redemptions_of(
    mirror: Mirror, customer_id: UUID, named: CustomerRef
) -> Sequence[asyncpg.Record]:
    """Return the coupons that a customer has had, as `billing_redemptions` has them.

    NotFoundError for an unknown customer, or another than is named.
    """
    async with acquired(mirror.pool) as conn:
        found = await require_customer(conn, CustomerRef(customer_id))
        if not await may_reach(conn, named, found):
            raise NotFoundError("Customer not found.", code="unknown_customer")
        return await list_redemptions_of_customer(
            conn, found, MOST_REDEMPTIONS, livemode=mirror.livemode
        )
