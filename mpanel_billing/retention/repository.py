"""Prunes rows, one batch per statement."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("retention")

EVENT_PAYLOADS = "event_payloads"

_BATCHES = {
    "events": _queries.prune_events,
    "provisioning_log": _queries.prune_provisioning_log,
    "idempotency_keys": _queries.prune_idempotency_keys,
    "job_log": _queries.prune_job_log,
}

COUNTED_UP_TO = 100_000


@dataclass(frozen=True, slots=True)
class Ages:
    """How many days each subject is kept."""

    event_payloads: int
    events: int
    provisioning_log: int
    idempotency_keys: int
    job_log: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The number of rows that a batch pruned, and the time of the newest."""

    rows: int
    until: datetime | None


async def prune_batch(conn: Connection, subject: str, keep_days: int, since: datetime) -> Batch:
    """Prune the oldest rows from `since` on; 0 rows if none is left or another run has them.

    For payloads the database records how far they are pruned, and `since` is ignored.
    """
    if subject == EVENT_PAYLOADS:
        row = await _queries.prune_event_payloads.fetch_one(conn, keep_days=keep_days)
    else:
        row = await _BATCHES[subject].fetch_one(conn, keep_days=keep_days, since=since)
    assert row is not None  # noqa: S101 - an aggregate always returns a row
    return Batch(row["rows"], row["until"])


async def note_pruning(conn: Connection, subject: str, batch: Batch) -> None:
    """Record what was pruned; a batch without rows ends a run."""
    await _queries.note_pruning.execute(conn, subject=subject, rows=batch.rows)


async def count_prunable(conn: Connection, ages: Ages) -> Mapping[str, int]:
    """Count the rows that are due, by subject, each up to COUNTED_UP_TO + 1."""
    row = await _queries.count_prunable.fetch_one(conn, **asdict(ages))
    return dict(row or {})


async def list_prunings(conn: Connection) -> Sequence[asyncpg.Record]:
    """Return subject, pruned_until, pruned_rows and pruned_at of each subject."""
    return await _queries.list_prunings.fetch(conn)
