"""End a subscription whose money is back: after the refund, and by the worker if that was not done.

The request is in the row of the refund, written before Stripe is asked for it. If the process dies
in between, the worker finds the refund at Stripe, and ends the subscription.
"""

import logging
from collections.abc import Mapping
from typing import Literal

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import acquired, transaction
from mpanel_billing.errors import BillingError, ConflictError, StripeError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.lifecycle import ChangeRequest, cancel
from mpanel_billing.subscriptions.lookup import CustomerRef
from mpanel_billing.subscriptions.repository.changes import Change
from mpanel_billing.subscriptions.stripe_requests import Find, note_found

logger = logging.getLogger(__name__)

MOST = 100
"""The limit of a run; the rest waits a minute."""

_WORKER = Actor("worker")
_OVER = frozenset({"subscription_ended", "not_paid"})


async def end_with(
    mirror: Mirror, by: Actor, change: Change | None
) -> Literal["done", "pending"] | None:
    """End the subscription of a refund that is done; None if it stays.

    `pending`: Stripe did not do it now; the worker tries again, because the money is back already.
    """
    if change is None or change.end_service is None:
        return None
    try:
        await _end(mirror, by, change)
    except (ConflictError, StripeError) as error:
        logger.warning("refunded, but not ended yet: %s", error, extra={"changeId": str(change.id)})
        return "pending"
    return "done"


async def _end(mirror: Mirror, by: Actor, change: Change) -> None:
    async with acquired(mirror.pool) as conn:
        subscription_id = await repository.changes.find_subscription_of(conn, change.subject_id)
    if subscription_id is not None:
        request = ChangeRequest(by, subscription_id, CustomerRef())
        at_end = change.end_service == "period_end"
        try:
            await cancel(mirror, request, at_period_end=at_end, reason="refunded")
        except ConflictError as error:
            if error.code not in _OVER:
                raise
    async with acquired(mirror.pool) as conn:
        await repository.changes.mark_service_ended(conn, change.id)


async def finish_service_ends(mirror: Mirror, finders: Mapping[str, Find]) -> int:
    """End what should have ended with a refund, and return how many; for the worker.

    `finders` look at Stripe for what a change of each kind has made.
    """
    async with acquired(mirror.pool) as conn:
        due = await repository.changes.list_unended(conn, MOST, livemode=mirror.livemode)
    ended = 0
    for change in due:
        try:
            ended += await _finish(mirror, change, finders[change.kind])
        except BillingError as error:
            logger.warning("not ended yet: %s", error, extra={"changeId": str(change.id)})
    return ended


async def _finish(mirror: Mirror, change: Change, find: Find) -> bool:
    """End it if the money is back; a refund that was not made is left to its operator."""
    if change.state != "done":
        made = await find(mirror, change)
        if made is None:
            return False
        async with transaction(mirror.pool) as conn:
            await note_found(conn, _WORKER, change, made)
    await _end(mirror, _WORKER, change)
    return True
