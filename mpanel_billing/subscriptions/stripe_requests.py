"""Request changes of Stripe: recorded before Stripe is called, once each, and one at a time.

If the process crashes during the call, or Stripe does not respond, the outcome is
unknown; so the same request continues with the same attempt, with its idempotency key and params.
What Stripe has done in the meantime reaches the mirror through webhooks.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import (
    BillingError,
    ConflictError,
    DatabaseUnavailableError,
    StripeBrokeError,
    StripeError,
)
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.repository.changes import (
    Change,
    Kind,
    State,
    subject_of,
)
from mpanel_billing.subscriptions.requested_changes import (
    Decide,
    Params,
    StripeRequest,
    claim,
    find_known,
    in_progress,
    is_same,
    says_done,
    with_service_end,
)

CALLS_OF_A_CHANGE = 4
"""A change is locked for the time that this many calls may take: three, and the pauses between."""

Prepare = Callable[[], Awaitable[None]]
"""Asks Stripe what `decide` needs to know, before the lock: no call to Stripe is made under it."""

Send = Callable[[Change], Awaitable[str | None]]
"""Calls Stripe; returns the id of the object that Stripe has created, if any."""


async def carry_out(
    mirror: Mirror,
    by: Actor,
    request: StripeRequest,
    decide: Decide,
    send: Send,
    *,
    prepare: Prepare | None = None,
) -> Change | None:
    """Have Stripe carry out the request; None if there was nothing to do.

    A repeated request is not carried out again, nor prepared. ConflictError while another change
    of the same subject runs, or for a key of another request; StripeError.
    """
    if prepare:
        decide = await _prepared(mirror, request, prepare, decide)
    lease_seconds = CALLS_OF_A_CHANGE * mirror.stripe.longest_call_seconds
    async with transaction(mirror.pool) as conn:
        change = await claim(conn, request, decide, lease_seconds)
        if change is None or change.state == "done":
            return change
        entry = await audit.begin(conn, by, *_audited(change))
    async with audit.settling(mirror.pool, entry):
        try:
            stripe_id = await send(change)
        except DatabaseUnavailableError:
            raise
        except BillingError as error:
            await _close_failed(mirror, change, error)
            raise
        await _close_done(mirror, change, stripe_id)
        if stripe_id:
            entry.note(stripeId=stripe_id)
    return change if stripe_id is None else replace(change, state="done", stripe_id=stripe_id)


Find = Callable[["Mirror", Change], Awaitable[str | None]]
"""Returns the id of what an earlier attempt of a change has made at Stripe, if it has."""


async def find_made(mirror: Mirror, by: Actor, request: StripeRequest, find: Find) -> Change | None:
    """Return a request that counts as failed, but has been carried out: now it is done.

    Stripe may return a 5xx and act nevertheless. StripeError.
    """
    async with acquired(mirror.pool) as conn:
        known = await find_known(conn, request)
    if known is None or known.state != "failed" or not is_same(known, request):
        return None
    made = await find(mirror, known)
    if made is None:
        return None
    async with transaction(mirror.pool) as conn:
        known = await with_service_end(conn, replace(known, state="done"), request)
        return await note_found(conn, by, known, made)


async def make_once(
    mirror: Mirror, by: Actor, request: StripeRequest, decide: Decide, send: Send, *, find: Find
) -> Change | None:
    """Have Stripe carry out the request, unless `find_made` shows that it has; as `carry_out`."""
    made = await find_made(mirror, by, request, find)
    return made or await carry_out(mirror, by, request, decide, send)


async def note_found(conn: Connection, by: Actor, change: Change, stripe_id: str) -> Change:
    """Record that what a change was to make was found at Stripe; it is in the audit log, too."""
    if await repository.changes.note_made(conn, change, stripe_id):
        action, target, details = _audited(change)
        await audit.record(conn, by, action, target, {**details, "foundAtStripe": stripe_id})
    return replace(change, state="done", stripe_id=stripe_id)


def made_by(change: Change | None) -> str:
    """Return the id of what a change of a kind that always makes something has made."""
    assert change is not None  # noqa: S101 - what is decided is made, or refused
    assert change.stripe_id is not None  # noqa: S101 - see above
    return change.stripe_id


async def _prepared(
    mirror: Mirror, request: StripeRequest, prepare: Prepare, decide: Decide
) -> Decide:
    """Prepare the decision, and return it.

    What cannot be prepared may be so because Stripe did it, and returned an error: then the
    refusal stands only if there is something left to do.
    """
    async with acquired(mirror.pool) as conn:
        known = await find_known(conn, request)
    if known is not None and known.state != "failed":
        return _decide_unprepared
    try:
        await prepare()
    except ConflictError as error:
        if known is None or not known.may_be_made:
            raise
        return _unless_done(decide, request.kind, error)
    return decide


def _unless_done(decide: Decide, kind: Kind, refusal: ConflictError) -> Decide:
    async def decide_or_refuse(conn: Connection) -> Params | None:
        try:
            params = await decide(conn)
        except ConflictError as error:
            if says_done(kind, error):
                raise
            raise refusal from error
        if params is not None:
            raise refusal
        return None

    return decide_or_refuse


T = TypeVar("T")


def prepared(found: Sequence[T]) -> T:
    """Return what was prepared last; ConflictError if nothing could be."""
    if not found:
        raise in_progress(1)
    return found[-1]


async def _decide_unprepared(_: Connection) -> Params | None:
    """Refuse what has failed in the moment since it was taken for a repeat."""
    raise in_progress(1)


def _audited(change: Change) -> tuple[str, audit.Target, Mapping[str, object]]:
    kind = subject_of(change.kind).removesuffix("_id")
    target = audit.Target(kind, str(change.subject_id))
    details = {"changeId": str(change.id), "attempt": change.attempt, "params": change.params}
    return f"{kind}.{change.kind.removesuffix('_invoice')}", target, details


def _state_after(error: BillingError) -> State:
    """Return the state after an error, which may be our own refusal.

    Stripe repeats a 5xx for the same key for a day: only a new attempt can succeed then.
    """
    known = not isinstance(error, StripeError) or error.definite
    if known or isinstance(error, StripeBrokeError):
        return "failed"
    return "unanswered"


async def _close_failed(mirror: Mirror, change: Change, error: BillingError) -> None:
    async with acquired(mirror.pool) as conn:
        await repository.changes.close_change(
            conn,
            change,
            _state_after(error),
            error=str(error),
            may_be_made=isinstance(error, StripeBrokeError),
        )


async def _close_done(mirror: Mirror, change: Change, stripe_id: str | None) -> None:
    async with acquired(mirror.pool) as conn:
        await repository.changes.close_change(conn, change, "done", stripe_id=stripe_id)
