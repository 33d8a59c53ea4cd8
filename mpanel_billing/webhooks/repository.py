"""The rows of the inbox."""

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import orjson

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("inbox")


async def insert_events(
    conn: Connection,
    events: Sequence[Mapping[str, Any]],
    payloads: Sequence[str],
    keys: Sequence[str],
) -> set[str]:
    """Insert events with their payloads (JSON texts) and return the ids that are new.

    The objects named by `keys` are locked first, in a global order, until the transaction ends.
    """
    rows = await _queries.insert_events.fetch(conn, keys=keys, events=events, payloads=payloads)
    return {row["id"] for row in rows}


async def receive_events(
    conn: Connection,
    events: Sequence[orjson.Fragment],
    payloads: Sequence[str],
    rows: Mapping[str, Sequence[orjson.Fragment]],
    keys: Sequence[str],
) -> set[str]:
    """Keep and apply the events that can take the fast path, committed; return their ids.

    `events` are inbox rows as JSON, `rows` the mirror's rows of `invoice` and `subscription`, and
    `keys` the objects to lock.
    """
    received = await _queries.receive_events.fetch(
        conn,
        keys=keys,
        events=events,
        payloads=payloads,
        invoices=rows["invoice"],
        subscriptions=rows["subscription"],
    )
    return {row["id"] for row in received}


async def mark_events(conn: Connection, outcomes: Sequence[Mapping[str, Any]]) -> None:
    """Write the outcomes of kept events: id, status, reason."""
    await _queries.mark_events.execute(conn, outcomes=outcomes)


async def mark_event_failed(
    conn: Connection, event_id: str, error: str, retry_in_seconds: float | None
) -> None:
    """Write why an event could not be applied; with None it is not retried automatically."""
    await _queries.mark_event_failed.execute(
        conn, id=event_id, error=error, retry_in_seconds=retry_in_seconds
    )


async def lock_event(conn: Connection, event_id: str) -> asyncpg.Record | None:
    """Lock an unfinished event (id, payload, attempts); None if another transaction has it."""
    return await _queries.lock_event.fetch_one(conn, id=event_id)


async def list_due_events(conn: Connection, most: int) -> list[tuple[str, int]]:
    """Return the events to retry now, each with its number of attempts."""
    rows = await _queries.list_due_events.fetch(conn, most=most)
    return [(row["id"], row["attempts"]) for row in rows]


async def list_events(conn: Connection, status: str | None, most: int) -> Sequence[asyncpg.Record]:
    """Return the newest events, of one status or of all."""
    return await _queries.list_events.fetch(conn, status=status, most=most)


async def get_event(conn: Connection, event_id: str) -> asyncpg.Record | None:
    """Return one event with all columns."""
    return await _queries.get_event.fetch_one(conn, id=event_id)


async def reopen_event(conn: Connection, event_id: str) -> bool:
    """Make an event without an effect due again; False if it had one or does not exist."""
    return await _queries.reopen_event.fetch_value(conn, id=event_id) is not None


async def list_failed_events(conn: Connection, after: str, most: int) -> list[str]:
    """Return the ids of unfinished events after an id, in order."""
    rows = await _queries.list_failed_events.fetch(conn, after=after, most=most)
    return [row["id"] for row in rows]
