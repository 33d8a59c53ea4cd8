"""Offer a coupon of the catalogue to a customer who wants to cancel, once, and give it to them."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from mpanel_billing import money
from mpanel_billing.catalogue.model import Coupon
from mpanel_billing.catalogue.repository import load_catalogue
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.coupons import is_for, with_coupon
from mpanel_billing.subscriptions.lifecycle import (
    COUPON,
    REASON,
    Changed,
    ChangeRequest,
    make_change,
    require_changeable,
)
from mpanel_billing.subscriptions.promise import preview_outdated
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.requested_changes import StripeRequest
from mpanel_billing.subscriptions.schedules import releasing

_OFFERED_IN = frozenset({"active", "trialing", "past_due"})


@dataclass(frozen=True, slots=True)
class RetentionOffer:
    """A coupon for a customer who stays; `amount` is their next charge with it, in minor units.

    `amount` is before taxes and the balance.
    """

    coupon: Coupon
    currency: str
    amount: int


async def find_offer(mirror: Mirror, request: ChangeRequest) -> RetentionOffer | None:
    """Return what a customer is offered to stay; None if there is nothing, or they had it.

    NotFoundError, ConflictError for a subscription that has ended or was never paid.
    """
    async with acquired(mirror.pool) as conn:
        held = await require_changeable(conn, mirror, request)
        if await repository.changes.has_taken_offer(conn, held.id, None, None):
            return None
        return await _find(conn, mirror, held)


async def take_offer(
    mirror: Mirror,
    request: ChangeRequest,
    *,
    reason: str | None,
    shown: tuple[str, int] | None = None,
) -> Changed:
    """Give the customer what they are offered, and take a scheduled cancellation back.

    The discounts that they have stay. ConflictError if nothing is offered, or not the coupon with
    the amount that were `shown`; NotFoundError, StripeError.
    """
    asked = {"reason": reason}
    same = StripeRequest("take_offer", request.subscription_id, asked, request.key)

    async def decide(conn: Connection) -> Mapping[str, Any]:
        held = await require_changeable(conn, mirror, request)
        offer = await _find(conn, mirror, held)
        taken = await repository.changes.has_taken_offer(conn, held.id, same.key, same.hash)
        if offer is None or taken:
            raise ConflictError("There is no offer for this subscription.", code="no_offer")
        if shown not in {None, (offer.coupon.code, offer.amount)}:
            raise preview_outdated()
        why = {REASON: reason} if reason else {}
        given = {"discounts": with_coupon(held, offer.coupon), COUPON: offer.coupon.code}
        return {**given, **_staying(held), **releasing(held), **why}

    return await make_change(mirror, request, "take_offer", asked, decide)


def _staying(held: Subscription) -> dict[str, Any]:
    """Return the params that take a cancellation back; the portal sets a date for it."""
    if held.cancel_at_period_end:
        return {"cancel_at_period_end": False}
    return {"cancel_at": ""} if held.cancel_at else {}


async def _find(conn: Connection, mirror: Mirror, held: Subscription) -> RetentionOffer | None:
    """Return the first coupon by its code that the subscription can have.

    One is enough: a subscription with a retention coupon is not offered another.
    """
    if held.stripe_status not in _OFFERED_IN or held.collection_paused or held.to_come:
        return None
    catalogue = await load_catalogue(conn, livemode=mirror.livemode)
    coupons = [
        coupon
        for each in catalogue.coupons
        if each.retention and (coupon := each.in_currency(held.currency))
    ]
    had = {one.coupon for one in held.discounts}
    if any(coupon.stripe_coupon_id in had - {None} for coupon in coupons):
        return None
    for coupon in coupons:
        if held.amount and is_for(coupon, held):
            return RetentionOffer(coupon, held.currency, _amount_with(coupon, held))
    return None


def _amount_with(coupon: Coupon, held: Subscription) -> int:
    amount = held.due_net or 0
    if coupon.amount_off is not None:
        return max(amount - coupon.amount_off, 0)
    percent = coupon.percent_off or Decimal(0)
    return amount - money.round_to_step(amount * percent / 100, held.currency)
