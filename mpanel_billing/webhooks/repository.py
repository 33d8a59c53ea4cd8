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
    """Keep events with their payloads (JSON texts); answer the ids that were not here before.

    Objects to be locked until the transaction ends are named by `keys`, in a global order; they
    are locked before anything is inserted.
    """
    rows = await _queries.insert_events.fetch(conn, keys=keys, events=events, payloads=payloads)
    return {row["id"] for row in rows}


async def receive_routine(
    conn: Connection,
    events: Sequence[orjson.Fragment],
    payloads: Sequence[str],
    rows: Mapping[str, Sequence[orjson.Fragment]],
    keys: Sequence[str],
) -> set[str]:
    """Keep and apply what is routine, committed when this returns; answer the ids of those events.

    `events` are the rows of the inbox as JSON, `rows` those to write for `invoice` and
    `subscription`, `keys` what has to be locked.
    """
    answer = await _queries.receive_events.fetch(
        conn,
        keys=keys,
        events=events,
        payloads=payloads,
        invoices=rows["invoice"],
        subscriptions=rows["subscription"],
    )
    return {row["id"] for row in answer}


async def mark_events(conn: Connection, outcomes: Sequence[Mapping[str, Any]]) -> None:
    """Note what became of kept events: id, status, reason."""
    await _queries.mark_events.execute(conn, outcomes=outcomes)


async def mark_event_failed(
    conn: Connection, event_id: str, error: str, retry_in_seconds: float | None
) -> None:
    """Note why an event could not be applied; None: no further try by itself."""
    await _queries.mark_event_failed.execute(
        conn, id=event_id, error=error, retry_in_seconds=retry_in_seconds
    )


async def lock_event(conn: Connection, event_id: str) -> asyncpg.Record | None:
    """Take an event that is not done (id, payload, attempts), if nobody else works on it."""
    return await _queries.lock_event.fetch_one(conn, id=event_id)


async def list_due_events(conn: Connection, most: int) -> list[tuple[str, int]]:
    """Return events to try again, each with the attempts made."""
    rows = await _queries.list_due_events.fetch(conn, most=most)
    return [(row["id"], row["attempts"]) for row in rows]


async def list_events(conn: Connection, status: str | None, most: int) -> Sequence[asyncpg.Record]:
    """Return the newest events, of one status or of all, for a person to look at."""
    return await _queries.list_events.fetch(conn, status=status, most=most)


async def get_event(conn: Connection, event_id: str) -> asyncpg.Record | None:
    """Return all of one event."""
    return await _queries.get_event.fetch_one(conn, id=event_id)


async def reopen_event(conn: Connection, event_id: str) -> bool:
    """Make an event that had no effect due again; False where it had one, or is unknown."""
    return await _queries.reopen_event.fetch_value(conn, id=event_id) is not None


async def list_failed_events(conn: Connection, after: str, most: int) -> list[str]:
    """Return the ids of events that are not done, in order, after an id."""
    rows = await _queries.list_failed_events.fetch(conn, after=after, most=most)
    return [row["id"] for row in rows]
