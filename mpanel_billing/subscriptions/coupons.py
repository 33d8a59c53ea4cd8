"""Apply a coupon to a subscription that runs, and take one off again.

Coupons are those of the catalogue, and promotion codes of Stripe. Why a code is not valid is not
told: all refusals read the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from mpanel_billing.catalogue.model import Catalogue, Coupon, stripe_coupon_id_in
from mpanel_billing.catalogue.service import read_catalogue
from mpanel_billing.checkout.limits import is_used_up
from mpanel_billing.checkout.promotion_codes import with_promotion_code
from mpanel_billing.checkout.repository.redemptions import (
    Asking,
    list_redemptions_of_coupon,
    list_redemptions_of_customer,
)
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.subscriptions import preview_discounts, redeeming
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
from mpanel_billing.subscriptions.promise import preview_outdated
from mpanel_billing.subscriptions.records import Discount, Subscription
from mpanel_billing.subscriptions.schedules import releasing
from mpanel_billing.subscriptions.stripe_requests import prepared

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


async def preview_coupon(
    mirror: Mirror, request: ChangeRequest, code: str, *, promotion_codes: bool
) -> ValidCoupon | None:
    """Return what a code takes off the subscription's next invoice; None: it is not valid for it.

    ConflictError for a subscription that cannot be changed now; NotFoundError, StripeError.
    """
    held = await _read_changeable(mirror, request)
    catalogue = await _read_catalogue(mirror, held, code, promotion_codes=promotion_codes)
    await refresh(mirror, request)
    async with acquired(mirror.pool) as conn:
        held = await _require_discountable(conn, mirror, request)
        coupon = _find(catalogue, code, held)
        if coupon is None or not await _is_valid(conn, mirror, held, coupon):
            return None
    return ValidCoupon(coupon, await _previewed(mirror, held, with_coupon(held, coupon)))


async def apply_coupon(
    mirror: Mirror,
    request: ChangeRequest,
    code: str,
    *,
    reason: str | None,
    promotion_codes: bool,
    shown: str | None = None,
) -> Changed:
    """Give a subscription the discount of a code; those that it has stay.

    ConflictError if the code is not valid for it, or of another coupon at Stripe than was `shown`;
    NotFoundError, StripeError.
    """
    read: list[Catalogue] = []

    async def prepare() -> None:
        held = await _read_changeable(mirror, request)
        read.append(await _read_catalogue(mirror, held, code, promotion_codes=promotion_codes))

    async def decide(conn: Connection) -> Mapping[str, Any]:
        held = await _require_discountable(conn, mirror, request)
        coupon = _find(prepared(read), code, held)
        if coupon and _has(held, coupon):
            raise ConflictError(
                "This subscription has the discount already.", code="coupon_applied"
            )
        if coupon is None or not await _is_valid(conn, mirror, held, coupon):
            raise ConflictError(
                "This code is not valid for this subscription.", code="coupon_not_valid"
            )
        if shown not in {None, coupon.stripe_coupon_id}:
            raise preview_outdated()
        why = {REASON: reason} if reason else {}
        given = {"discounts": with_coupon(held, coupon), COUPON: coupon.code}
        return {**given, **releasing(held), **why}

    asked = {"couponCode": code.strip().upper(), "reason": reason}
    return await make_change(mirror, request, "apply_coupon", asked, decide, prepare=prepare)


async def preview_removal(mirror: Mirror, request: ChangeRequest, coupon: str) -> CouponPreview:
    """Return what the next invoice comes to without a coupon's discount.

    `coupon` is its id at Stripe, or its code in the catalogue. ConflictError if the subscription
    has no such discount, or cannot be changed now; NotFoundError, StripeError.
    """
    await refresh(mirror, request)
    async with acquired(mirror.pool) as conn:
        held = await _require_discountable(conn, mirror, request)
    return await _previewed(mirror, held, _without(held, coupon))


async def remove_coupon(
    mirror: Mirror, request: ChangeRequest, coupon: str, *, reason: str | None
) -> Changed:
    """Take the discount of a coupon off a subscription, from its next invoice on.

    ConflictError if it has no such discount; NotFoundError, StripeError.
    """

    async def decide(conn: Connection) -> Mapping[str, Any]:
        held = await _require_discountable(conn, mirror, request)
        why = {REASON: reason} if reason else {}
        return {"discounts": _without(held, coupon) or "", **releasing(held), **why}

    asked = {"coupon": coupon, "reason": reason}
    return await make_change(mirror, request, "remove_coupon", asked, decide)


def with_coupon(held: Subscription, coupon: Coupon) -> list[dict[str, str]]:
    """Return the discounts that a subscription has, and one more, as Stripe takes them."""
    return [*_kept(_own(held)), redeeming(coupon.redeemed_by or "")]


def is_for(coupon: Coupon, held: Subscription) -> bool:
    """Return whether a coupon, in its currency, can be taken off what a subscription is charged."""
    if coupon.redeemed_by is None:
        return False
    if held.amount < (coupon.minimum_amount or 0):
        return False
    return not coupon.products or any(item.code in coupon.products for item in held.items)


def _find(catalogue: Catalogue, code: str, held: Subscription) -> Coupon | None:
    """Return a code's coupon in the currency of the subscription."""
    found = catalogue.find_coupon(code)
    return found.in_currency(held.currency) if found else None


async def _read_changeable(mirror: Mirror, request: ChangeRequest) -> Subscription:
    async with acquired(mirror.pool) as conn:
        return await require_changeable(conn, mirror, request)


async def _read_catalogue(
    mirror: Mirror, held: Subscription, code: str, *, promotion_codes: bool
) -> Catalogue:
    """Return what is on sale, with the code if Stripe knows it."""
    catalogue = await read_catalogue(mirror.pool, livemode=mirror.livemode)
    if not promotion_codes:
        return catalogue
    own = frozenset([held.stripe_customer_id] if held.stripe_customer_id else [])
    return await with_promotion_code(mirror.stripe, catalogue, code, own)


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


async def _is_valid(conn: Connection, mirror: Mirror, held: Subscription, coupon: Coupon) -> bool:
    """Return whether a running subscription can have a coupon now; locks what it counts.

    One for a first order it cannot, nor what is only offered to stay.
    """
    if coupon.retention or coupon.first_order_only:
        return False
    if _has(held, coupon) or not is_for(coupon, held):
        return False
    customer_id = held.customer_id or held.id
    asking = Asking(held.id, customer_id, b"", vouched=True, livemode=mirror.livemode)
    return not await is_used_up(conn, coupon, asking)


def _has(held: Subscription, coupon: Coupon) -> bool:
    return any(one.coupon == coupon.stripe_coupon_id for one in held.discounts)


def _own(held: Subscription) -> list[Discount]:
    """Return the discounts of the subscription, without those of its items."""
    return [one for one in held.discounts if one.stripe_item_id is None]


def _kept(discounts: Iterable[Discount]) -> list[dict[str, str]]:
    return [{"discount": one.stripe_id} for one in discounts]


def _without(held: Subscription, coupon: str) -> list[dict[str, str]]:
    """Return the discounts that stay; ConflictError if the subscription has none of the coupon."""
    own = _own(held)
    named = {coupon, stripe_coupon_id_in(coupon, held.currency)}
    staying = [one for one in own if one.coupon not in named]
    if len(staying) < len(own):
        return _kept(staying)
    if any(one.coupon in named for one in held.discounts):
        raise ConflictError(
            "This discount belongs to one item, not to the subscription. Take it off in Stripe's"
            " dashboard.",
            code="coupon_of_item",
        )
    raise ConflictError(
        "This subscription has no discount from this coupon.", code="coupon_not_applied"
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


async def list_redemptions_with(mirror: Mirror, code: str) -> Sequence[asyncpg.Record]:
    """Return who has had a code, the latest first, as `billing_redemptions` has them."""
    async with acquired(mirror.pool) as conn:
        return await list_redemptions_of_coupon(
            conn, code, MOST_REDEMPTIONS, livemode=mirror.livemode
        )
