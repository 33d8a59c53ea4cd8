"""Cancel and resume subscriptions, and make any change of one: Stripe does it, our rows follow.

The subscription is refreshed from Stripe before a change and after it, like any other snapshot. So
decisions rest on its current state, and the caller sees the result before the webhooks arrive.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import (
    ConflictError,
    StripeError,
    StripeObjectMissingError,
)
from mpanel_billing.mirror.mirror import Mirror, request_refetch
from mpanel_billing.stripe_gateway.subscriptions import (
    ENDED_AT_STRIPE,
    PendingUpdate,
    cancel_subscription,
    pause_subscription,
    resume_subscription,
    update_subscription,
)
from mpanel_billing.subscriptions.lookup import CustomerRef, get_subscription, require_subscription
from mpanel_billing.subscriptions.pauses import end_pause, place_pause, withdraw_pause
from mpanel_billing.subscriptions.records import Subscription
from mpanel_billing.subscriptions.repository.changes import Change, Kind
from mpanel_billing.subscriptions.requested_changes import NEVER, Decide, StripeRequest
from mpanel_billing.subscriptions.schedules import (
    PLANNED,
    RELEASE,
    plan_ahead,
    release_first,
    releasing,
)
from mpanel_billing.subscriptions.stripe_requests import Prepare, Send, carry_out

logger = logging.getLogger(__name__)

AT_ONCE = "at_once"
"""Marks the params of a cancellation that takes effect immediately."""

PAUSE = "pause"
"""Among the params of a change: those of Stripe's pause."""

RESUME = "resume"
"""Among the params of a change: those of Stripe's resumption of what is paused."""

COLLECTION = "collection"
"""Among the params of a change: from when to when services are held for a paused collection."""

HELD_UNTIL = "held_until"
"""Among the params of a change: when the hold for a paused collection ends at the latest."""

REASON = "reason"
"""Among the params of a change: why, for the record."""

COUPON = "coupon_code"
"""Among the params of a change: the code that it redeems, which counts for the coupon's limits."""

GIVEN_BACK = "given_back"
"""Among the params of a change: what is refunded and credited before it."""

Feedback = Literal[
    "customer_service",
    "low_quality",
    "missing_features",
    "other",
    "switched_service",
    "too_complex",
    "too_expensive",
    "unused",
]
"""Why a customer leaves, in Stripe's words."""

Before = Callable[[Change], Awaitable[None]]
"""What is done before Stripe makes a change; it must be possible to do it again."""

_OURS = frozenset(
    {AT_ONCE, COUPON, GIVEN_BACK, PAUSE, RESUME, COLLECTION, HELD_UNTIL, REASON, RELEASE}
)


@dataclass(frozen=True, slots=True)
class ChangeRequest:
    """Who requests a change of which subscription; `key` is the client's idempotency key."""

    by: Actor
    subscription_id: UUID
    named: CustomerRef
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """A subscription after a request; `changed` is false if it was already as requested.

    It is false, too, while the change waits for the customer's confirmation.
    """

    subscription: Subscription
    changed: bool
    confirmation: PendingUpdate | None = None


async def cancel(
    mirror: Mirror,
    request: ChangeRequest,
    *,
    at_period_end: bool,
    reason: str | None,
    feedback: Feedback | None = None,
) -> Changed:
    """End a subscription, at the end of its period or immediately, without a refund.

    ConflictError for one that has ended or is unpaid; NotFoundError, StripeError.
    """

    async def decide(conn: Connection) -> Mapping[str, Any] | None:
        held = await require_changeable(conn, mirror, request)
        if at_period_end and held.cancel_at_period_end:
            return None
        details = cancellation_details(reason, feedback)
        if at_period_end:
            return {"cancel_at_period_end": True, **details, **releasing(held)}
        return {AT_ONCE: True, **billing_usage(held), **details}

    asked = {"atPeriodEnd": at_period_end, "reason": reason, "feedback": feedback}
    return await make_change(mirror, request, "cancel", asked, decide)


def billing_usage(held: Subscription) -> dict[str, Any]:
    """Return the params by which Stripe bills what was used of a subscription that ends now."""
    return {"invoice_now": True} if any(item.metered for item in held.items) else {}


def cancellation_details(reason: str | None, feedback: Feedback | None) -> dict[str, Any]:
    """Return the params by which Stripe keeps why a subscription ends."""
    told = {"comment": reason, "feedback": feedback}
    kept = {name: value for name, value in told.items() if value}
    return {"cancellation_details": kept} if kept else {}


async def resume(
    mirror: Mirror, request: ChangeRequest, *, prepare: Prepare | None = None
) -> Changed:
    """Undo a pause, or the cancellation of a subscription that has not ended; else ConflictError.

    What Stripe has paused begins a new term, which is charged now. `prepare` may refuse it.
    """

    async def decide(conn: Connection) -> Mapping[str, Any] | None:
        held = await require_changeable(conn, mirror, request)
        if held.stripe_status == "paused":
            return {RESUME: {"billing_cycle_anchor": {"type": "now"}}}
        require_resumable(held)
        if held.collection_paused:
            return _collect_again(held)
        # the portal sets a date instead of the flag; Stripe accepts only one of the two
        end = {"cancel_at_period_end": False} if held.cancel_at_period_end else {"cancel_at": ""}
        return {**end, **releasing(held)}

    return await make_change(mirror, request, "resume", {}, decide, prepare=prepare)


def require_resumable(held: Subscription) -> None:
    """Raise ConflictError unless a subscription is paused, or set to end."""
    if held.stripe_status == "paused" or held.collection_paused or held.will_end:
        return
    raise ConflictError(
        "This subscription is neither cancelled nor paused, so it cannot be resumed.",
        code="not_cancelled",
    )


def refuse_uncharged(held: Subscription) -> None:
    """Raise ConflictError while the running term is not charged, for a pause.

    An invoice of a paused collection is void: what is changed now would be given away.
    """
    if held.stripe_status == "paused" or held.collection_paused:
        raise ConflictError(
            "This subscription is paused. Resume it before a change.", code="subscription_paused"
        )
    start, end, since = held.current_period_start, held.current_period_end, held.held_from
    if start and end and since and start >= since:
        raise ConflictError(
            "This subscription was paused, and its running term is not charged. It can be changed"
            f" once the next term has begun, on {end:%Y-%m-%d %H:%M} UTC.",
            code="subscription_paused",
        )


def _collect_again(held: Subscription) -> Mapping[str, Any]:
    """Return the params that resume the collection: the next term is paid for."""
    ends = {"pause_collection": ""}
    if held.current_period_end is None:
        return ends
    return {**ends, HELD_UNTIL: int(held.current_period_end.timestamp())}


async def undo_change(mirror: Mirror, request: ChangeRequest) -> Changed:
    """Keep the plan: release the schedule that would change it; ConflictError if there is none."""

    async def decide(conn: Connection) -> Mapping[str, Any] | None:
        held = await require_changeable(conn, mirror, request)
        if held.to_come is None:
            raise ConflictError(
                "No change of this subscription is planned.", code="no_change_planned"
            )
        return releasing(held)

    return await make_change(mirror, request, "undo_change", {}, decide)


async def require_changeable(
    conn: Connection, mirror: Mirror, request: ChangeRequest
) -> Subscription:
    """Return the subscription if Stripe can change it; ConflictError, NotFoundError."""
    held = await require_subscription(conn, mirror, request.subscription_id, request.named)
    if held.is_over:
        raise _ended()
    if held.stripe_id is None or held.stripe_status in {None, "incomplete"}:
        raise ConflictError("This order has not been paid yet.", code="not_paid")
    return held


def _ended() -> ConflictError:
    return ConflictError("This subscription has ended.", code="subscription_ended")


async def refresh(mirror: Mirror, request: ChangeRequest) -> Subscription:
    """Return the subscription as Stripe has it now; NotFoundError, StripeError."""
    held = await get_subscription(mirror, request.subscription_id, request.named)
    if held.stripe_id is None:
        return held
    await mirror.refresh("subscription", held.stripe_id)
    return await get_subscription(mirror, request.subscription_id, request.named)


async def make_change(
    mirror: Mirror,
    request: ChangeRequest,
    kind: Kind,
    asked: Mapping[str, object],
    decide: Decide,
    *,
    prepare: Prepare | None = None,
    before: Before | None = None,
    repeatable_for: timedelta = NEVER,
) -> Changed:
    """Have Stripe make a change, as `carry_out` does, and return the subscription after it.

    `before` is done first; what it raises ends the request, and nothing is changed.

    ConflictError if Stripe says that it has ended, which it may since it was looked at.
    """
    held = await refresh(mirror, request)
    wanted = StripeRequest(kind, request.subscription_id, asked, request.key, repeatable_for)
    try:
        change = await carry_out(
            mirror, request.by, wanted, decide, _sender(mirror, held, before), prepare=prepare
        )
    except StripeError as error:
        if error.stripe_code != ENDED_AT_STRIPE:
            raise
        await _refresh_after(mirror, held.stripe_id or "")
        raise _ended() from error
    after = await get_subscription(mirror, request.subscription_id, request.named)
    return Changed(after, changed=change is not None)


def _sender(mirror: Mirror, held: Subscription, before: Before | None) -> Send:
    """Return the function that sends a change of the subscription to Stripe."""
    stripe_id = held.stripe_id or ""

    async def send(change: Change) -> str | None:
        if before:
            await before(change)
        await release_first(mirror, change)
        schedule_id = None
        if PLANNED in change.params:
            schedule_id = await plan_ahead(mirror, change, stripe_id)
        elif COLLECTION in change.params:
            await _pause_collection(mirror, change, stripe_id)
        else:
            await _send_at_once(mirror, change, stripe_id)
        if until := change.params.get(HELD_UNTIL):
            await end_pause(mirror.pool, change.subject_id, until)
        await _refresh_after(mirror, stripe_id)
        return schedule_id

    return send


async def _send_at_once(mirror: Mirror, change: Change, stripe_id: str) -> None:
    params = {name: value for name, value in change.params.items() if name not in _OURS}
    if AT_ONCE in change.params:
        with suppress(StripeObjectMissingError):  # it has ended: an earlier response was lost
            await cancel_subscription(mirror.stripe, stripe_id, params)
    elif PAUSE in change.params:
        key = change.idempotency_key
        await pause_subscription(mirror.stripe, stripe_id, change.params[PAUSE], key)
    elif RESUME in change.params:
        key = change.idempotency_key
        await resume_subscription(mirror.stripe, stripe_id, change.params[RESUME], key)
    elif params:
        await update_subscription(mirror.stripe, stripe_id, params, change.idempotency_key)


async def _pause_collection(mirror: Mirror, change: Change, stripe_id: str) -> None:
    """Hold the services first: nothing is served that nobody pays for."""
    await place_pause(mirror.pool, change.subject_id, change.params[COLLECTION])
    try:
        await _send_at_once(mirror, change, stripe_id)
    except StripeError as error:
        if error.definite:
            await withdraw_pause(mirror.pool, change.subject_id)
        raise


async def _refresh_after(mirror: Mirror, stripe_id: str) -> None:
    """Bring our rows up to date with what Stripe has just done.

    Stripe's response to the change is not used: for a repeated key it is the original one. If the
    refresh fails, the change still stands, and a job refreshes again.
    """
    try:
        await mirror.refresh("subscription", stripe_id)
    except StripeError as error:
        logger.warning("changed, but not refreshed yet: %s", error, extra={"objectId": stripe_id})
        async with transaction(mirror.pool) as conn:
            await request_refetch(conn, "subscription", stripe_id, "was changed by us")
