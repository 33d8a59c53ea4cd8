"""The audit log: every change made with a key or at the command line, in `billing_audit_log`.

Its rows are only added, never updated: an attempt and its outcome are two rows of
`billing_audit_entries`, and that view shows a change with its latest outcome.

A change that is one database transaction is recorded in that transaction:

    async with transaction(pool) as conn:
        ...
        await audit.record(conn, by, "subscription.suspend", Target("subscription", id), {...})

A change that also happens elsewhere (at Stripe, or in several transactions) is recorded as
`attempted` before it begins, and gets its outcome afterwards. An old `attempted` means that the
process died or never received the response:

    async with audit.attempt(pool, by, "catalogue.push") as entry:
        pushed = await push_catalogue(...)
        entry.note(created=len(pushed.created))

Services take `by: Actor | None`. With None the service itself acts, which is not recorded.
"""

import logging
import os
import pwd
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

import asyncpg

from mpanel_billing.access import repository
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import (
    BillingError,
    ConflictError,
    DatabaseUnavailableError,
    NotFoundError,
    StripeError,
)
from mpanel_billing.telemetry.logs import redact_values

logger = logging.getLogger(__name__)

LAST_ID = 2**63 - 1
"""The highest possible id."""

Outcome = Literal["attempted", "done", "failed"]

Found = Literal["done", "failed"]
"""What a person can find out about a change of unknown outcome."""

MAY_BE_UNDER_WAY = timedelta(minutes=15)
"""So long after it began, a change of unknown outcome is not settled by hand."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The author of a change: the holder of a key, or a user at the command line.

    `name` is the key's, or `cli:<user>@<host>`; `key_id` is set for keys in the database, and
    `request_id` for changes over HTTP. `person` is who acted behind the key, as the key's holder
    says.
    """

    name: str
    key_id: str | None = None
    request_id: str | None = None
    person: str | None = None


def command_line_actor() -> Actor:
    """Return the operating system user who runs this command, or who ran sudo."""
    return Actor(f"cli:{_system_user()}@{socket.gethostname()}")


def _system_user() -> str:
    """Return the user's name from the system: $USER can be set to anything."""
    user_id = os.getuid()
    if user_id == 0 and (sudo_user := os.environ.get("SUDO_USER")):
        return sudo_user
    try:
        return pwd.getpwuid(user_id).pw_name
    except KeyError:  # a container may run under a uid without a name
        return str(user_id)


class AuditRoleError(BillingError):
    """The database role may not delete from the audit log."""

    code = "audit_role"


@dataclass(frozen=True, slots=True)
class Target:
    """The object of a change: its kind and its id (ours or Stripe's)."""

    kind: str
    id: str


@dataclass(slots=True)
class Entry:
    """A change recorded as attempted; its details and target are completed when it ends.

    `id` is None if the change is not recorded.
    """

    id: int | None
    target: Target | None = None
    details: dict[str, object] = field(default_factory=dict)

    def note(self, **details: object) -> None:
        """Add details: JSON values, never a secret."""
        self.details |= details

    def set_target(self, kind: str, id_: object) -> None:
        """Set the target if it was not known before."""
        self.target = Target(kind, str(id_))


async def record(
    conn: Connection,
    by: Actor | None,
    action: str,
    target: Target | None = None,
    details: Mapping[str, object] | None = None,
) -> None:
    """Record a change as done, in the caller's transaction.

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
    """Record a change as attempted, in the caller's transaction; `settling` completes it."""
    return Entry(await _insert(conn, by, action, target, details, outcome="attempted"))


@asynccontextmanager
async def settling(pool: Pool, entry: Entry) -> AsyncIterator[Entry]:
    """Record the outcome of an attempt: `failed` on an error, which is raised on, else `done`.

    It stays `attempted` after an error that leaves open whether the change took effect.
    """
    try:
        yield entry
    except Exception as error:
        unknown = isinstance(error, DatabaseUnavailableError) or (
            isinstance(error, StripeError) and not error.definite
        )
        await _settle(pool, entry, "attempted" if unknown else "failed", _code_of(error))
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
    """Record an attempt before the block runs, and its outcome when the block ends.

    DatabaseUnavailableError, before anything happens, if it cannot be recorded.
    """
    if by is None:
        yield Entry(None)
        return
    async with acquired(pool) as conn:
        entry = await begin(conn, by, action, target, details)
    async with settling(pool, entry):
        yield entry


async def settle(pool: Pool, id_: int, outcome: Found, reason: str, by: Actor) -> None:
    """Record what a person found out about an attempt whose outcome is unknown.

    NotFoundError for an unknown entry; ConflictError unless it has been `attempted` for a quarter
    of an hour: before, it may still be under way.
    """
    async with transaction(pool) as conn:
        before = await repository.get_outcome(conn, id_)
        if before is None:
            raise NotFoundError(f"The audit log has no entry {id_}.")
        if before != "attempted":
            raise ConflictError(f"The outcome of entry {id_} is known: {before}.")
        settled = await repository.settle_by_hand(
            conn, id_, outcome=outcome, actor=by.name, reason=reason
        )
        if not settled:
            raise ConflictError(f"Entry {id_} began a moment ago, and may still be under way.")
        details = {"outcome": outcome, "reason": reason}
        await record(conn, by, "audit.settle", Target("audit_entry", str(id_)), details)


async def settle_done(conn: Connection, most: int) -> int:
    """Record attempts of unknown outcome as done whose change is done; return how many.

    The change was asked for again, or was done just before the database went away.
    """
    return await repository.settle_done(conn, most)


async def list_entries(
    pool: Pool,
    *,
    most: int,
    target_id: str | None = None,
    actor: str | None = None,
    person: str | None = None,
    before: int = LAST_ID,
) -> Sequence[asyncpg.Record]:
    """Return the newest entries before id `before`, optionally of one target, actor or person."""
    async with transaction(pool) as conn:
        return await repository.list_entries(
            conn, target_id=target_id, actor=actor, person=person, before=before, most=most
        )


async def prune(pool: Pool, by: Actor, keep_days: int) -> int:
    """Delete changes that began longer ago, and return how many.

    Each batch is a transaction, in which it is recorded. `pool` has to connect as the role of
    docs/access.md: the schema refuses any other (AuditRoleError). Attempts without an outcome stay.
    """
    changes = 0
    try:
        while deleted := await _prune_batch(pool, by, keep_days):
            changes += deleted
    except asyncpg.InsufficientPrivilegeError as error:
        raise AuditRoleError(
            "Only the role mpanel_billing_audit can delete from the audit log: AUDIT_DATABASE_URL"
            " has to connect as that role (docs/access.md)."
        ) from error
    return changes


async def _prune_batch(pool: Pool, by: Actor, keep_days: int) -> int:
    async with transaction(pool) as conn:
        changes = await repository.prune_entries(conn, keep_days)
        if changes:
            await record(conn, by, "audit.prune", None, {"keepDays": keep_days, "changes": changes})
    return changes


async def count_prunable(pool: Pool, keep_days: int) -> int:
    """Count the changes that `prune` would delete."""
    async with acquired(pool) as conn:
        return await repository.count_prunable(conn, keep_days)


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
        "person": by.person,
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
    """Write the outcome; without a database the entry stays `attempted`."""
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


def _code_of(error: Exception) -> str:
    return error.code if isinstance(error, BillingError) else type(error).__name__
