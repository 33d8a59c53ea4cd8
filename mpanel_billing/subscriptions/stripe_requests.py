"""Have Stripe change something, once: on record before it is asked, and one at a time.

Two changes of one subscription, or two refunds of one invoice, never interleave: the second gets
ConflictError. Should the process die while it asks, or Stripe not answer, then nobody knows
whether Stripe has acted; so the same request goes on with the same attempt, whose idempotency key
and params are those of before. What Stripe did meanwhile reaches the mirror by its webhooks.
"""

import hashlib
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from mpanel_billing.access import audit
from mpanel_billing.access.actor import Actor
from mpanel_billing.database.pool import acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, StripeBrokeError, StripeError
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.desk import ServiceDesk
from mpanel_billing.subscriptions.repository import Change, Kind, State

CALLS_OF_A_CHANGE = 4
"""Nobody else changes the same thing for so long: three calls to Stripe, and the pauses between."""

RESUMABLE_FOR = timedelta(hours=23)
"""Stripe knows an idempotency key for 24 hours at least."""

NEVER = timedelta(0)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody asks for: `request` is all that makes two requests the same.

    `key` is the client's own name for the request. Without one the same request is a repeat for
    `repeatable_for` after it was done.
    """

    kind: Kind
    subject_id: UUID
    request: Mapping[str, object]
    key: str | None = None
    repeatable_for: timedelta = NEVER

    @property
    def hash(self) -> bytes:
        """What two requests share that ask for the same."""
        named = {"kind": self.kind, "subject": str(self.subject_id), **self.request}
        canonical = json.dumps(named, sort_keys=True, default=str)
        return hashlib.sha256(canonical.encode()).digest()


Params = Mapping[str, Any]
Plan = Callable[[Connection], Awaitable[Params | None]]
"""Decides, with nobody else at it, what to ask Stripe for; None: there is nothing to change."""

Ask = Callable[[Change], Awaitable[str | None]]
"""Asks Stripe for it; answers the id of what Stripe has made, if anything."""


async def carry_out(
    desk: ServiceDesk, by: Actor, wish: Wish, plan: Plan, ask: Ask
) -> Change | None:
    """Have Stripe do what is wished; None when there was nothing to do.

    A repeated wish is not done again. ConflictError while another change of the same thing runs,
    or for a key that belongs to another request; StripeError when Stripe does not do it.
    """
    lease_seconds = CALLS_OF_A_CHANGE * desk.gateway.longest_call_seconds
    async with transaction(desk.pool) as conn:
        change = await _claim(conn, wish, plan, lease_seconds)
        if change is None or change.state == "done":
            return change
        entry = await audit.begin(conn, by, *_audited(change))
    async with audit.settling(desk.pool, entry):
        try:
            stripe_id = await ask(change)
        except StripeError as error:
            await _close(desk, change, _state_after(error), error=str(error))
            raise
        await _close(desk, change, "done", stripe_id=stripe_id)
        if stripe_id:
            entry.note(stripeId=stripe_id)
    return change if stripe_id is None else replace(change, state="done", stripe_id=stripe_id)


async def _claim(conn: Connection, wish: Wish, plan: Plan, lease_seconds: float) -> Change | None:
    """Put the wish on record as being asked for; a done one is answered as it is."""
    await repository.lock_subject(conn, wish.subject_id)
    known = await _find_known(conn, wish)
    if known and known.request_hash != wish.hash:
        raise _key_reused()
    if known and known.state == "done":
        return known
    await _refuse_while_running(conn, wish.subject_id)
    if known and known.state == "unanswered":
        return await repository.take_up_change(
            conn, known, known.attempt, known.params, lease_seconds
        )
    params = await plan(conn)
    if params is None:
        return None
    if known:
        return await repository.take_up_change(
            conn, known, known.attempt + 1, params, lease_seconds
        )
    inserted = await repository.insert_change(
        conn,
        wish.kind,
        wish.subject_id,
        request_key=wish.key,
        request_hash=wish.hash,
        params=params,
        lease_seconds=lease_seconds,
    )
    if inserted is None:
        raise _key_reused()
    return inserted


def _key_reused() -> ConflictError:
    return ConflictError(
        "This Idempotency-Key belongs to another request.", code="idempotency_key_reused"
    )


async def _find_known(conn: Connection, wish: Wish) -> Change | None:
    resumable = RESUMABLE_FOR.total_seconds()
    if wish.key:
        return await repository.find_by_key(conn, wish.key, resumable_seconds=resumable)
    return await repository.find_repeated(
        conn,
        wish.subject_id,
        wish.hash,
        repeatable_seconds=wish.repeatable_for.total_seconds(),
        resumable_seconds=resumable,
    )


async def _refuse_while_running(conn: Connection, subject_id: UUID) -> None:
    seconds = await repository.get_running_seconds(conn, subject_id)
    if seconds is not None:
        raise ConflictError(
            "Another change is just being made. Please look at the result and try again.",
            code="change_in_progress",
            retry_after=max(1, min(math.ceil(seconds), 5)),
        )


def _audited(change: Change) -> tuple[str, audit.Target, Mapping[str, object]]:
    kind = "invoice" if change.kind == "refund" else "subscription"
    target = audit.Target(kind, str(change.subject_id))
    details = {"changeId": str(change.id), "attempt": change.attempt, "params": change.params}
    return f"{kind}.{change.kind}", target, details


def _state_after(error: StripeError) -> State:
    """Stripe repeats a 5xx to the same key for a day: then only another attempt can succeed."""
    if error.definite or isinstance(error, StripeBrokeError):
        return "failed"
    return "unanswered"


async def _close(
    desk: ServiceDesk,
    change: Change,
    state: State,
    *,
    stripe_id: str | None = None,
    error: str | None = None,
) -> None:
    async with acquired(desk.pool) as conn:
        await repository.close_change(conn, change, state, stripe_id=stripe_id, error=error)
