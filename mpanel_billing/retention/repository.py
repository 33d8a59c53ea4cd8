"""Prunes rows, one batch per statement."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.mirror.locks import lock
from mpanel_billing.privacy import repository as privacy
from mpanel_billing.privacy.repository import Erasure, Person

_queries = load_queries("retention")

EVENT_PAYLOADS = "event_payloads"
UNPAID_ORDERS = "unpaid_orders"

_BATCHES = {
    "events": _queries.prune_events,
    "provisioning_log": _queries.prune_provisioning_log,
    "idempotency_keys": _queries.prune_idempotency_keys,
    "job_log": _queries.prune_job_log,
    "messages": _queries.prune_messages,
    "access_data": _queries.prune_access_data,
    "usage": _queries.prune_usage,
    "meter_events": _queries.prune_meter_events,
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
    messages: int
    unpaid_orders: int
    access_data: int
    usage: int
    meter_events: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The number of rows that a batch pruned, and the time of the newest."""

    rows: int
    until: datetime | None


async def prune_batch(conn: Connection, subject: str, keep_days: int, since: datetime) -> Batch:
    """Prune the oldest rows from `since` on; 0 rows if none is left or another run has them.

    Has to be in a transaction. For payloads and unpaid orders the database records how far they
    are pruned, and `since` is ignored.
    """
    if subject == UNPAID_ORDERS:
        return await _erase_unpaid_orders(conn, keep_days)
    if subject == EVENT_PAYLOADS:
        row = await _queries.prune_event_payloads.fetch_one(conn, keep_days=keep_days)
    else:
        row = await _BATCHES[subject].fetch_one(conn, keep_days=keep_days, since=since)
    assert row is not None  # noqa: S101 - an aggregate always returns a row
    return Batch(row["rows"], row["until"])


async def _erase_unpaid_orders(conn: Connection, keep_days: int) -> Batch:
    """Erase what is personal in orders that were never paid, and remember whose it was."""
    row = await _queries.list_unpaid_orders.fetch_one(conn, keep_days=keep_days)
    if row is None or row["until"] is None:
        return Batch(0, None)
    ids = row["stripe_customers"]
    await lock(conn, (("cus", id_) for id_ in ids))
    now = datetime.now(UTC)
    await privacy.remember_erasures(
        conn, [Erasure(id_, "stripe_customer", "unpaid", now) for id_ in ids]
    )
    person = Person(
        customers=row["customers"], subscriptions=row["subscriptions"], stripe_customers=ids
    )
    await privacy.erase_rows(conn, person)
    await privacy.erase_events(conn, [*ids, *row["sessions"]])
    await _queries.note_unpaid_until.execute(conn, until=row["until"])
    return Batch(len(row["subscriptions"]), row["until"])


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
