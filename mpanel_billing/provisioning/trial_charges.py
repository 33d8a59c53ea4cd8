"""Charges due at the end of a trial: pending invoice items and coupons on the subscription.

A pending invoice item survives the cancellation of a trial and would still be billed, and the
invoice of a paused collection takes it along when it is voided. So it is removed as soon as the
subscription is set to end within its trial, or its collection is paused, and attached again if the
buyer stays after all, or is charged again. A coupon stays: it charges nothing.
"""

import logging
from contextlib import suppress
from typing import Literal
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import StripeError, StripeObjectMissingError
from mpanel_billing.mirror import repository as mirror_rows
from mpanel_billing.provisioning.repository import money
from mpanel_billing.provisioning.work import Charge, Work
from mpanel_billing.stripe_gateway.charges import (
    MadeItem,
    PendingItem,
    create_pending_item,
    delete_pending_item,
    find_item,
)
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.subscriptions import attach_coupon, has_coupon

logger = logging.getLogger(__name__)


_CONTINUING = frozenset({"trialing", "active", "past_due"})
_OVER = frozenset({"canceled", "incomplete_expired"})


async def settle_charges(
    pool: Pool, gateway: StripeGateway, work: Work, *, livemode: bool
) -> str | None:
    """Attach and remove charges as the state of the subscription demands.

    Returns the error if that failed; provisioning does not wait for it.
    """
    todo = [(charge, step) for charge in work.charges if (step := next_step(work, charge))]
    if not todo:
        return None
    if work.livemode != livemode:
        return "charges: the subscription belongs to Stripe's other mode (live or test)"
    try:
        for charge, step in todo:
            await _STEPS[step](pool, gateway, work, charge)
    except StripeError as error:
        logger.warning(
            "charges after the trial: %s",
            error,
            extra={"subscriptionId": str(work.subscription_id)},
        )
        return f"charges: {error}"
    return None


def next_step(work: Work, charge: Charge) -> Literal["attach", "remove", "drop"] | None:
    """Return what to do about a charge: it is attached exactly while it will be charged.

    If the trial has ended already, it is still attached, for the next invoice: the buyer agreed
    to it.
    """
    if work.stripe_subscription_id is None or work.stripe_customer_id is None:
        return None
    if charge.lost:
        return "drop"
    if _is_not_charged(work):
        removable = charge.kind == "one_time" and (charge.state == "attached" or charge.tried_at)
        return "remove" if removable else None
    status, paused = work.entitlement.stripe_status, work.entitlement.collection_paused
    continues = status in _CONTINUING and not work.ending and not paused
    return "attach" if continues and charge.state in {"waiting", "removed"} else None


def _is_not_charged(work: Work) -> bool:
    """Whether nothing is charged at the end of the trial: it ends then, or before, or is paused."""
    status = work.entitlement.stripe_status
    if status == "trialing":
        return work.ending or work.entitlement.collection_paused
    if status not in _OVER or work.trial_end is None:
        return False
    ended_at = work.entitlement.ended_at
    return ended_at is None or ended_at <= work.trial_end


async def _attach(pool: Pool, gateway: StripeGateway, work: Work, charge: Charge) -> None:
    """Attach a charge; after an earlier try with unknown outcome, look in Stripe first.

    An idempotency key alone would only help for a day.
    """
    async with acquired(pool) as conn:
        if not await money.begin_attaching(conn, charge):
            return
    if charge.kind == "discount":
        stripe_id, created = await _attach_coupon(gateway, work, charge), None
    else:
        made = await _attach_item(gateway, work, charge)
        stripe_id, created = made.id, made.created
    async with transaction(pool) as conn:
        await mirror_rows.lock_objects(conn, [work.mirror_key])
        await money.mark_attached(conn, charge, stripe_id, created)
        # it may be on an invoice already, which then pays for the whole order
        await mirror_rows.derive(conn, [work.stripe_subscription_id or ""], [])
    _log("attached", work.subscription_id, charge)


async def _attach_item(gateway: StripeGateway, work: Work, charge: Charge) -> MadeItem:
    item = _item_of(work, charge)
    found = await find_item(gateway, item) if charge.tried_at else None
    return found or await create_pending_item(gateway, item)


async def _attach_coupon(gateway: StripeGateway, work: Work, charge: Charge) -> str:
    subscription = work.stripe_subscription_id or ""
    if not (charge.tried_at and await has_coupon(gateway, subscription, charge.code)):
        key = f"charge-{charge.id}-{charge.attempt}"
        await attach_coupon(gateway, subscription, charge.code, key)
    return charge.code


async def _remove(pool: Pool, gateway: StripeGateway, work: Work, charge: Charge) -> None:
    await _take_off(gateway, work, charge)
    async with acquired(pool) as conn:
        await money.mark_removed(conn, charge)
    _log("removed", work.subscription_id, charge)


async def _drop(pool: Pool, gateway: StripeGateway, work: Work, charge: Charge) -> None:
    """Take off what is for a lost domain, for good: the rest is paid for without it."""
    await _take_off(gateway, work, charge)
    async with transaction(pool) as conn:
        await mirror_rows.lock_objects(conn, [work.mirror_key])
        await money.drop_charge(conn, charge)
        await mirror_rows.derive(conn, [work.stripe_subscription_id or ""], [])
    _log("dropped", work.subscription_id, charge)


async def _take_off(gateway: StripeGateway, work: Work, charge: Charge) -> None:
    if charge.state != "attached" and charge.tried_at is None:
        return
    stripe_id = charge.stripe_id
    if stripe_id is None and (found := await find_item(gateway, _item_of(work, charge))):
        stripe_id = found.id
    if stripe_id is not None:
        # missing: an earlier response was lost, or it was removed by hand
        with suppress(StripeObjectMissingError):
            await delete_pending_item(gateway, stripe_id)


_STEPS = {"attach": _attach, "remove": _remove, "drop": _drop}


def _item_of(work: Work, charge: Charge) -> PendingItem:
    return PendingItem(
        stripe_customer_id=work.stripe_customer_id or "",
        stripe_subscription_id=work.stripe_subscription_id or "",
        charge_id=str(charge.id),
        attempt=charge.attempt,
        amount=charge.amount or 0,
        currency=charge.currency or "",
        description=charge.description,
    )


def _log(done: str, subscription_id: UUID, charge: Charge) -> None:
    logger.info(
        "charge after the trial %s: %s",
        done,
        charge.code,
        extra={"subscriptionId": str(subscription_id), "chargeId": str(charge.id)},
    )
