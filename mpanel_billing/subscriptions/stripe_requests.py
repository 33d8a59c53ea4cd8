"""Request changes of Stripe: recorded before Stripe is called, once each, and one at a time.

Two changes of one subscription, or two refunds of one invoice, never interleave: the second gets
ConflictError. If the process crashes during the call, or Stripe does not respond, the outcome is
unknown; so the same request continues with the same attempt, with its idempotency key and params.
What Stripe has done in the meantime reaches the mirror through webhooks.
"""

import hashlib
import json
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar
from uuid import UUID

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
    ServiceEnd,
    State,
    subject_of,
)

CALLS_OF_A_CHANGE = 4
"""A change is locked for the time of so many calls: three, and the pauses between them."""

RESUMABLE_FOR = timedelta(hours=23)
"""Stripe keeps an idempotency key for at least 24 hours."""

NEVER = timedelta(0)

_DONE_ALREADY: Mapping[Kind, str] = {
    "apply_coupon": "coupon_applied",
    "cancel": "subscription_ended",
    "remove_coupon": "coupon_not_applied",
    "resume": "not_cancelled",
    "take_offer": "no_offer",
    "trial": "not_in_trial",
    "undo_change": "no_change_planned",
}
"""The code of the refusal that says that nothing of a request is left to do."""


@dataclass(frozen=True, slots=True)
class StripeRequest:
    """A requested change; two are the same if `kind`, `subject_id` and `request` are equal.

    `key` is the client's idempotency key. Without one, the same request counts as a repeat for
    `repeatable_for` after it was done. `end_service` is what is to happen to the subscription of an
    invoice afterwards: a repeat may say another, but the same key names the same.
    """

    kind: Kind
    subject_id: UUID
    request: Mapping[str, object]
    key: str | None = None
    repeatable_for: timedelta = NEVER
    end_service: ServiceEnd | None = None

    @property
    def hash(self) -> bytes:
        """A hash that is equal for the same request."""
        named = {"kind": self.kind, "subject": str(self.subject_id), **self.request}
        canonical = json.dumps(named, sort_keys=True, default=str)
        return hashlib.sha256(canonical.encode()).digest()


Params = Mapping[str, Any]
Decide = Callable[[Connection], Awaitable[Params | None]]
"""Returns the params for Stripe, under the subject's lock; None: there is nothing to change."""

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
        change = await _claim(conn, request, decide, lease_seconds)
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

    Stripe may answer with a 5xx and act all the same. StripeError.
    """
    async with acquired(mirror.pool) as conn:
        known = await _find_known(conn, request)
    if known is None or known.state != "failed" or not _is_same(known, request):
        return None
    made = await find(mirror, known)
    if made is None:
        return None
    async with transaction(mirror.pool) as conn:
        known = await _with_service_end(conn, replace(known, state="done"), request)
        return await note_found(conn, by, known, made)


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


async def _with_service_end(conn: Connection, known: Change, request: StripeRequest) -> Change:
    """Have the subscription end as the repeat of a change says.

    A repeat that names no end takes none back of money that is, or may be, given already.
    """
    wanted = request.end_service
    if known.state != "failed":
        wanted = wanted or known.end_service
    if wanted == known.end_service:
        return known
    await repository.changes.set_end_service(conn, known, wanted)
    return replace(known, end_service=wanted)


async def _prepared(
    mirror: Mirror, request: StripeRequest, prepare: Prepare, decide: Decide
) -> Decide:
    """Prepare the decision, and return it.

    What cannot be prepared may be so because Stripe did it, and answered with an error: then the
    refusal stands only if there is something left to do.
    """
    async with acquired(mirror.pool) as conn:
        known = await _find_known(conn, request)
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
            if _says_done(kind, error):
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


async def _claim(
    conn: Connection, request: StripeRequest, decide: Decide, lease_seconds: float
) -> Change | None:
    """Record the request as running; return the change as it is if it is already done."""
    await repository.changes.lock_subject(conn, request.subject_id)
    known = await _find_known(conn, request)
    if known and not _is_same(known, request):
        raise _key_reused()
    if known:
        known = await _with_service_end(conn, known, request)
    if known and known.state == "done":
        return known
    await _refuse_while_running(conn, request.subject_id)
    if known and known.state == "unanswered":
        return await repository.changes.resume_change(
            conn, known, known.attempt, known.params, lease_seconds
        )
    params = await _decided(conn, decide, request.kind, known)
    if params is None:
        if known:  # Stripe answered with an error, and did it all the same
            await repository.changes.note_done(conn, known)
        return None
    if known:
        return await repository.changes.resume_change(
            conn, known, known.attempt + 1, params, lease_seconds
        )
    inserted = await repository.changes.insert_change(
        conn,
        request.kind,
        request.subject_id,
        request_key=request.key,
        request_hash=request.hash,
        params=params,
        lease_seconds=lease_seconds,
        end_service=request.end_service,
    )
    if inserted is None:
        raise _key_reused()
    return inserted


async def _decided(
    conn: Connection, decide: Decide, kind: Kind, known: Change | None
) -> Params | None:
    """Decide; a repeat of what Stripe did, but answered with an error, has nothing to do.

    What Stripe certainly refused was not made: there, the refusal is the answer.
    """
    try:
        return await decide(conn)
    except ConflictError as error:
        if known is None or not known.may_be_made or not _says_done(kind, error):
            raise
        return None


def _says_done(kind: Kind, error: ConflictError) -> bool:
    return error.code == _DONE_ALREADY.get(kind)


def _is_same(known: Change, request: StripeRequest) -> bool:
    if known.request_hash != request.hash:
        return False
    return request.key is None or known.end_service == request.end_service


def _key_reused() -> ConflictError:
    return ConflictError(
        "This Idempotency-Key belongs to another request.", code="idempotency_key_reused"
    )


async def _find_known(conn: Connection, request: StripeRequest) -> Change | None:
    resumable = RESUMABLE_FOR.total_seconds()
    if request.key:
        return await repository.changes.find_by_key(conn, request.key, resumable_seconds=resumable)
    return await repository.changes.find_repeated(
        conn,
        request.subject_id,
        request.hash,
        repeatable_seconds=request.repeatable_for.total_seconds(),
        resumable_seconds=resumable,
    )


async def _refuse_while_running(conn: Connection, subject_id: UUID) -> None:
    seconds = await repository.changes.get_running_seconds(conn, subject_id)
    if seconds is not None:
        raise in_progress(seconds)


async def _decide_unprepared(_: Connection) -> Params | None:
    """Refuse what has failed in the moment since it was taken for a repeat."""
    raise in_progress(1)


def in_progress(seconds: float) -> ConflictError:
    """Return the refusal while another change runs; it may be done in some seconds."""
    return ConflictError(
        "Another change is in progress. Please try again in a moment.",
        code="change_in_progress",
        retry_after=max(1, min(math.ceil(seconds), 5)),
    )


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
