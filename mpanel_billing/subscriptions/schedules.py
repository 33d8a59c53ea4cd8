"""Changes at the end of a term: a schedule at Stripe makes them, and is ours.

Stripe makes a schedule of a subscription in one call, and takes its phases in another. Between the
two our row names the schedule, so it is known as ours whatever happens next.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, StripeError, SubscriptionScheduledError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.schedules import (
    create_schedule,
    find_schedule,
    get_schedule,
    release_schedule,
    update_schedule,
)
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.phases import phases_of
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.repository.changes import Change, Unplanned
from mpanel_billing.subscriptions.requested_changes import StripeRequest
from mpanel_billing.subscriptions.stripe_requests import carry_out

logger = logging.getLogger(__name__)

MOST = 100
"""The limit of a run of the worker; the rest waits a minute."""

PLANNED = "planned"
"""Marks the params of a change that a schedule makes at the end of the term."""

RELEASE = "release"
"""Among the params of a change: our schedule that is released first."""


def releasing(held: Subscription) -> dict[str, Any]:
    """Return the param that releases our schedule, if the subscription has one."""
    return {RELEASE: held.planned.schedule_id} if held.planned else {}


async def release_first(mirror: Mirror, change: Change) -> None:
    """Release the schedule that a change has to, if any."""
    if schedule_id := change.params.get(RELEASE):
        key = f"{change.idempotency_key}-release"
        await release_schedule(mirror.stripe, schedule_id, key)


async def plan_ahead(mirror: Mirror, change: Change, stripe_subscription_id: str) -> str:
    """Have Stripe make the change at the end of the term; return the schedule's id.

    If Stripe refuses it, the schedule is released: nothing is left.
    """
    planned = change.params[PLANNED]
    schedule = await _make(mirror, change, stripe_subscription_id)
    schedule_id: str = schedule["id"]
    async with acquired(mirror.pool) as conn:
        await repository.changes.note_schedule(
            conn, schedule_id, change.subject_id, **_row(planned)
        )
    params = {
        "phases": phases_of(schedule, planned),
        "end_behavior": "release",
        "proration_behavior": "none",
        "metadata": {"subscriptionId": str(change.subject_id), "changeId": str(change.id)},
    }
    key = change.idempotency_key
    try:
        await update_schedule(mirror.stripe, schedule_id, params, f"{key}-phases")
    except StripeError as error:
        if error.definite:
            await release_schedule(mirror.stripe, schedule_id, f"{key}-undo")
        raise
    async with acquired(mirror.pool) as conn:
        await repository.changes.note_planned(conn, schedule_id)
    return schedule_id


async def finish_planned(mirror: Mirror) -> int:
    """Settle schedules whose change was being planned when the process died; for the worker.

    Stripe has the change: then it is planned. It has not: then the schedule, which changes nothing,
    is released. Returns how many are planned.
    """
    async with acquired(mirror.pool) as conn:
        unplanned = await repository.changes.list_unplanned(conn, MOST, livemode=mirror.livemode)
    planned = 0
    for one in unplanned:
        try:
            planned += await _finish(mirror, one)
        except (ConflictError, StripeError) as error:
            fields = {"objectId": one.stripe_schedule_id}
            logger.warning("not settled yet: %s", error, extra=fields)
    return planned


async def _finish(mirror: Mirror, unplanned: Unplanned) -> bool:
    """Note that Stripe has the change; else undo it, unless the same request has resumed it."""
    if await _note_if_planned(mirror, unplanned):
        return True

    async def decide(conn: Connection) -> Mapping[str, Any] | None:
        standing = await repository.changes.list_unplanned(conn, MOST, livemode=mirror.livemode)
        return {RELEASE: unplanned.stripe_schedule_id} if unplanned in standing else None

    async def send(change: Change) -> None:
        await release_first(mirror, change)
        await mirror.refresh("subscription", unplanned.stripe_subscription_id)

    schedule_id = unplanned.stripe_schedule_id
    asked = {"unplanned": schedule_id}
    key = f"unplanned-{schedule_id}"
    request = StripeRequest("undo_change", unplanned.subscription_id, asked, key)
    await carry_out(mirror, Actor("worker"), request, decide, send)
    return False


async def _note_if_planned(mirror: Mirror, unplanned: Unplanned) -> bool:
    schedule = await get_schedule(mirror.stripe, unplanned.stripe_schedule_id)
    if len(schedule["phases"]) == 1:
        return False
    async with acquired(mirror.pool) as conn:
        await repository.changes.note_planned(conn, unplanned.stripe_schedule_id)
    return True


async def _make(mirror: Mirror, change: Change, stripe_subscription_id: str) -> Mapping[str, Any]:
    """Make the schedule; after an earlier failure it may be there, as Stripe makes it."""
    try:
        return await create_schedule(mirror.stripe, stripe_subscription_id, change.idempotency_key)
    except SubscriptionScheduledError:
        if change.attempt == 1:
            raise
        found = await find_schedule(mirror.stripe, stripe_subscription_id)
        if found is None or len(found["phases"]) != 1 or found["metadata"]:
            raise
        return found


def _row(planned: Mapping[str, Any]) -> dict[str, Any]:
    metadata = planned["metadata"]
    return {
        "plan_code": metadata["planId"],
        "billing_cycle": metadata["billingCycle"],
        "addon_codes": planned["addons"],
        "quantities": planned.get("quantities", {}),
        "effective_at": datetime.fromtimestamp(planned["at"], UTC),
        "subtotal": planned["subtotal"],
        "amount": planned["amount"],
    }
