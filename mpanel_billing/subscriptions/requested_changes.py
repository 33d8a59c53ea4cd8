"""Requested changes on record: which are the same, and the right to carry one out.

Two changes of one subscription, or two refunds of one invoice, never interleave: the second gets
ConflictError.
"""

import hashlib
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.repository.changes import Change, Kind, ServiceEnd

RESUMABLE_FOR = timedelta(hours=23)
"""Stripe keeps an idempotency key for at least 24 hours."""

NEVER = timedelta(0)

REPEATABLE_FOR = timedelta(minutes=10)
"""Within this time the same request without a key counts as an accidental repeat."""

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


async def claim(
    conn: Connection, request: StripeRequest, decide: Decide, lease_seconds: float
) -> Change | None:
    """Record the request as running; return the change as it is if it is already done."""
    await repository.changes.lock_subject(conn, request.subject_id)
    known = await find_known(conn, request)
    if known and not is_same(known, request):
        raise _key_reused()
    if known:
        known = await with_service_end(conn, known, request)
    if known and known.state == "done":
        return known
    await _refuse_while_running(conn, request.subject_id)
    if known and known.state == "unanswered":
        return await repository.changes.resume_change(
            conn, known, known.attempt, known.params, lease_seconds
        )
    params = await _decided(conn, decide, request.kind, known)
    if params is None:
        if known:  # Stripe returned an error, and did it nevertheless
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
    """Decide; a repeat of what Stripe did, but returned an error for, has nothing to do.

    What Stripe certainly refused was not made: there, the refusal is the answer.
    """
    try:
        return await decide(conn)
    except ConflictError as error:
        if known is None or not known.may_be_made or not says_done(kind, error):
            raise
        return None


def says_done(kind: Kind, error: ConflictError) -> bool:
    """Whether a refusal says that nothing of a request of this kind is left to do."""
    return error.code == _DONE_ALREADY.get(kind)


def is_same(known: Change, request: StripeRequest) -> bool:
    """Whether a change was requested by the same request."""
    if known.request_hash != request.hash:
        return False
    return request.key is None or known.end_service == request.end_service


def _key_reused() -> ConflictError:
    return ConflictError(
        "This Idempotency-Key belongs to another request.", code="idempotency_key_reused"
    )


async def find_known(conn: Connection, request: StripeRequest) -> Change | None:
    """Return the change of the same key, or else of a repeat; None if there is none."""
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


async def with_service_end(conn: Connection, known: Change, request: StripeRequest) -> Change:
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


def in_progress(seconds: float) -> ConflictError:
    """Return the refusal while another change runs; it may be done in some seconds."""
    return ConflictError(
        "Another change is in progress. Please try again in a moment.",
        code="change_in_progress",
        retry_after=max(1, min(math.ceil(seconds), 5)),
    )
