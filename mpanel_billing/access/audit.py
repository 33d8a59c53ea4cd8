"""The audit log: every change that a key or a command line makes, in `billing_audit_log`.

A change that is one transaction of the database is recorded in that very transaction:

    async with transaction(pool) as conn:
        ...
        await audit.record(conn, by, "subscription.suspend", Target("subscription", id), {...})

A change that happens elsewhere too (at Stripe, or in several transactions) is on record as
`attempted` before it begins, and gets its outcome afterwards; whoever finds an `attempted` later
knows that the process died, or never heard the answer:

    async with audit.attempt(pool, by, "catalogue.push") as entry:
        pushed = await push_catalogue(...)
        entry.note(created=len(pushed.created))

Services take `by: Actor | None`. None is the service itself, which keeps no such record.
"""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import asyncpg

from mpanel_billing.access import repository
from mpanel_billing.access.actor import Actor
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import BillingError, DatabaseUnavailableError, StripeError
from mpanel_billing.telemetry.logs import redact_values

logger = logging.getLogger(__name__)

LAST_ID = 2**63 - 1
"""No entry has a higher one."""

Outcome = Literal["attempted", "done", "failed"]


@dataclass(frozen=True, slots=True)
class Target:
    """What a change is made to: a kind of thing, and its id (ours, or Stripe's)."""

    kind: str
    id: str


@dataclass(slots=True)
class Entry:
    """A change that is on record as attempted; what is learnt of it meanwhile is added at its end.

    `id` is None where there is nobody to keep a record of.
    """

    id: int | None
    target: Target | None = None
    details: dict[str, object] = field(default_factory=dict)

    def note(self, **details: object) -> None:
        """Add details: values that JSON can have, never a secret."""
        self.details |= details

    def aim_at(self, kind: str, id_: object) -> None:
        """Say what it was done to, where that was not known before."""
        self.target = Target(kind, str(id_))


async def record(
    conn: Connection,
    by: Actor | None,
    action: str,
    target: Target | None = None,
    details: Mapping[str, object] | None = None,
) -> None:
    """Record a change that is done with the caller's transaction.

    `action` is like `subscription.suspend`; secrets and e-mail addresses in `details` are masked.
    """
    await _insert(conn, by, action, target, details, outcome="done")


async def begin(
    conn: Connection,
    by: Actor | None,
    action: str,
    target: Target | None = None,
    details: Mapping[str, object] | None = None,
) -> Entry:
    """Record with the caller's transaction that a change is attempted; `settling` ends it."""
    return Entry(await _insert(conn, by, action, target, details, outcome="attempted"))


@asynccontextmanager
async def settling(pool: Pool, entry: Entry) -> AsyncIterator[Entry]:
    """Write what became of an attempt: `failed` for an error, which passes through, else `done`.

    It stays `attempted` where the error says that it may have taken effect all the same.
    """
    try:
        yield entry
    except Exception as error:
        unknown = isinstance(error, DatabaseUnavailableError) or (
            isinstance(error, StripeError) and not error.definite
        )
        await _settle(pool, entry, "attempted" if unknown else "failed", _word_of(error))
        raise
    await _settle(pool, entry, "done", None)


@asynccontextmanager
async def attempt(
    pool: Pool,
    by: Actor | None,
    action: str,
    target: Target | None = None,
    details: Mapping[str, object] | None = None,
) -> AsyncIterator[Entry]:
    """Record an attempt before the block begins, and what became of it when the block ends.

    DatabaseUnavailableError, before anything has happened, when it cannot be recorded.
    """
    if by is None:
        yield Entry(None)
        return
    async with acquired(pool) as conn:
        entry = await begin(conn, by, action, target, details)
    async with settling(pool, entry):
        yield entry


async def list_entries(
    pool: Pool,
    *,
    most: int,
    target_id: str | None = None,
    actor: str | None = None,
    before: int = LAST_ID,
) -> Sequence[asyncpg.Record]:
    """Return the newest entries, of one target or actor if given, older than the entry `before`."""
    async with transaction(pool) as conn:
        return await repository.list_entries(
            conn, target_id=target_id, actor=actor, before=before, most=most
        )


async def _insert(
    conn: Connection,
    by: Actor | None,
    action: str,
    target: Target | None,
    details: Mapping[str, object] | None,
    *,
    outcome: Outcome,
) -> int | None:
    if by is None:
        return None
    entry = {
        "actor": by.name,
        "key_id": by.key_id,
        "action": action,
        "target_type": target.kind if target else None,
        "target_id": target.id if target else None,
        "details": redact_values(details or {}),
        "request_id": by.request_id,
        "outcome": outcome,
    }
    return await repository.insert_entry(conn, entry)


async def _settle(pool: Pool, entry: Entry, outcome: Outcome, error: str | None) -> None:
    """Write the outcome; without a database it stays `attempted`, for the change itself is over."""
    if entry.id is None:
        return
    params: dict[str, Any] = {
        "id": entry.id,
        "outcome": outcome,
        "error": error,
        "target_type": entry.target.kind if entry.target else None,
        "target_id": entry.target.id if entry.target else None,
        "details": redact_values(entry.details),
    }
    try:
        async with acquired(pool) as conn:
            await repository.settle_entry(conn, params)
    except DatabaseUnavailableError:
        logger.exception("the outcome is not in the audit log", extra={"auditId": entry.id})


def _word_of(error: Exception) -> str:
    return error.code if isinstance(error, BillingError) else type(error).__name__
