"""What waits for the end of a trial: put on the subscription in Stripe, and taken off again.

A pending invoice item outlives a trial that is cancelled, and would still be billed. So it is
taken off as soon as the subscription is going to end within its trial, and put on again should
the buyer stay after all. A coupon stays: it costs nobody anything.
"""

import logging
from contextlib import suppress
from typing import Literal
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.database.queries import load_queries
from mpanel_billing.errors import StripeError, StripeObjectMissingError
from mpanel_billing.provisioning.work import Charge, Work
from mpanel_billing.stripe_gateway.charges import (
    PendingItem,
    attach_coupon,
    create_pending_item,
    delete_pending_item,
    find_item,
    has_coupon,
)
from mpanel_billing.stripe_gateway.gateway import StripeGateway

logger = logging.getLogger(__name__)

_queries = load_queries("charges")

_GOING_ON = frozenset({"trialing", "active", "past_due"})
_OVER = frozenset({"canceled", "incomplete_expired"})


async def settle_charges(
    pool: Pool, gateway: StripeGateway, work: Work, *, livemode: bool
) -> str | None:
    """Attach and take off what the state of the subscription asks for.

    Answers why that could not be done for now; provisioning does not wait for it.
    """
    todo = [(charge, step) for charge in work.charges if (step := next_step(work, charge))]
    if not todo:
        return None
    if work.livemode != livemode:
        return "charges: the subscription belongs to the other mode of Stripe"
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


def next_step(work: Work, charge: Charge) -> Literal["attach", "remove"] | None:
    """Choose what to do about a charge: it is attached exactly while the order goes on.

    One that comes too late for the trial's end is attached all the same, for the next invoice:
    it was agreed on.
    """
    if work.stripe_subscription_id is None or work.stripe_customer_id is None:
        return None
    if _ends_in_trial(work):
        removable = charge.kind == "one_time" and (charge.state == "attached" or charge.tried_at)
        return "remove" if removable else None
    goes_on = work.entitlement.stripe_status in _GOING_ON and not work.ending
    return "attach" if goes_on and charge.state in {"waiting", "removed"} else None


def _ends_in_trial(work: Work) -> bool:
    status = work.entitlement.stripe_status
    if status == "trialing":
        return work.ending
    if status not in _OVER or work.trial_end is None:
        return False
    ended_at = work.entitlement.ended_at
    return ended_at is None or ended_at <= work.trial_end


async def _attach(pool: Pool, gateway: StripeGateway, work: Work, charge: Charge) -> None:
    """Attach one; where an earlier answer was lost, look in Stripe for what came of it.

    An idempotency key alone would do for a day only.
    """
    if not await _begin(pool, charge):
        return
    if charge.kind == "discount":
        stripe_id = await _attach_coupon(gateway, work, charge)
    else:
        item = _item_of(work, charge)
        found = await find_item(gateway, item) if charge.tried_at else None
        stripe_id = found or await create_pending_item(gateway, item)
    async with acquired(pool) as conn:
        await _queries.mark_attached.execute(
            conn, id=charge.id, attempt=charge.attempt, stripe_id=stripe_id
        )
    _log("attached", work.subscription_id, charge)


async def _begin(pool: Pool, charge: Charge) -> bool:
    async with acquired(pool) as conn:
        begun = await _queries.begin_attaching.fetch_value(
            conn, id=charge.id, attempt=charge.attempt
        )
    return begun is not None


async def _attach_coupon(gateway: StripeGateway, work: Work, charge: Charge) -> str:
    subscription = work.stripe_subscription_id or ""
    if not (charge.tried_at and await has_coupon(gateway, subscription, charge.code)):
        key = f"charge-{charge.id}-{charge.attempt}"
        await attach_coupon(gateway, subscription, charge.code, key)
    return charge.code


async def _remove(pool: Pool, gateway: StripeGateway, work: Work, charge: Charge) -> None:
    stripe_id = charge.stripe_id or await find_item(gateway, _item_of(work, charge))
    if stripe_id is not None:
        # gone: an earlier answer was lost, or somebody took it off by hand
        with suppress(StripeObjectMissingError):
            await delete_pending_item(gateway, stripe_id)
    async with acquired(pool) as conn:
        await _queries.mark_removed.execute(conn, id=charge.id, attempt=charge.attempt)
    _log("removed", work.subscription_id, charge)


_STEPS = {"attach": _attach, "remove": _remove}


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


def _log(word: str, subscription_id: UUID, charge: Charge) -> None:
    logger.info(
        "charge after the trial %s: %s",
        word,
        charge.code,
        extra={"subscriptionId": str(subscription_id), "chargeId": str(charge.id)},
    )
