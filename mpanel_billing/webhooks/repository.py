"""The rows of the inbox."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import asyncpg
import orjson

from mpanel_billing.database.queries import Connection, Query, load_queries
from mpanel_billing.mirror.repository import GROUPS
from mpanel_billing.webhooks.event import Position, Selection
from mpanel_billing.webhooks.prepared import PreparedEvent

_queries = load_queries("inbox")
_reports = load_queries("usage_reports")

_GROUPS = (*GROUPS.values(), "bills", "renewals")

ListEvents: TypeAlias = Callable[[Connection, Selection, Position, int], Awaitable[list[Position]]]


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


async def has_payload(conn: Connection, event_id: str) -> bool:
    """Return whether the payload of an event is here; of an erased customer none is kept."""
    return bool(await _queries.has_payload.fetch_value(conn, id=event_id))


async def note_usage_report(conn: Connection, event_id: str) -> None:
    """Have the usage that an event reports as not counted asked for."""
    await _reports.note_report.execute(conn, event_id=event_id)


async def receive_events(
    conn: Connection,
    events: Sequence[PreparedEvent],
    rows: Mapping[str, Sequence[orjson.Fragment]],
    locks: tuple[Sequence[str], Sequence[str]],
    *,
    waits: bool,
    headers: Mapping[str, Any] | None,
) -> Sequence[asyncpg.Record]:
    """Keep and apply those events whose order is clear or was decided, committed.

    `rows` are the mirror's rows by the parameter of the query, `locks` the keys and the object that
    needs each, and `headers` those of the jobs that follow. Returns what became of each event.
    """
    keys, holders = locks
    told = [each.event for each in events]
    return await _queries.receive_events.fetch(
        conn,
        keys=keys,
        holders=holders,
        waits=waits,
        livemode=told[0].livemode,
        ids=[event.id for event in told],
        types=[event.type for event in told],
        api_versions=[event.api_version for event in told],
        createds=[event.created and event.created.isoformat() for event in told],
        object_ids=[each.object_id for each in events],
        statuses=[each.outcome.status for each in events],
        reasons=[each.outcome.reason for each in events],
        payloads=[event.payload for event in told],
        headers=headers,
        **{group: rows.get(group) for group in _GROUPS},
    )


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


async def list_events(
    conn: Connection, status: str | None, before: str | None, most: int
) -> Sequence[asyncpg.Record]:
    """Return the newest events before one, of one status or of all; in a transaction of its own."""
    await _queries.plan_for_values.execute(conn)
    return await _queries.list_events.fetch(conn, status=status, before=before, most=most)


async def get_event(conn: Connection, event_id: str) -> asyncpg.Record | None:
    """Return one event with all columns."""
    return await _queries.get_event.fetch_one(conn, id=event_id)


async def reopen_event(conn: Connection, event_id: str) -> bool:
    """Make an event without an effect due again; False if it had one or does not exist."""
    return await _queries.reopen_event.fetch_value(conn, id=event_id) is not None


async def list_unfinished_events(
    conn: Connection, selection: Selection, after: Position, most: int
) -> list[Position]:
    """Return when unfinished events were received, and their ids, after one, oldest first."""
    return await _list_selected(conn, _queries.list_unfinished_events, selection, after, most)


async def count_unfinished_events(conn: Connection, selection: Selection, after: Position) -> int:
    """Return how many unfinished events were received after one."""
    received_at, event_id = after
    count: int = await _queries.count_unfinished_events.fetch_value(
        conn, **asdict(selection), after_received_at=received_at, after_id=event_id
    )
    return count


async def list_unfinished_types(
    conn: Connection, selection: Selection, most: int
) -> Sequence[asyncpg.Record]:
    """Return how many unfinished events there are of each type, and why the latest has failed."""
    return await _queries.list_unfinished_types.fetch(conn, **asdict(selection), most=most)


async def count_ignored_events(conn: Connection, selection: Selection, after: Position) -> int:
    """Return how many ignored events that have a payload were received after one."""
    received_at, event_id = after
    count: int = await _queries.count_ignored_events.fetch_value(
        conn, **asdict(selection), after_received_at=received_at, after_id=event_id
    )
    return count


async def list_ignored_types(
    conn: Connection, selection: Selection, most: int
) -> Sequence[asyncpg.Record]:
    """Return how many ignored events that have a payload there are of each type, and why."""
    return await _queries.list_ignored_types.fetch(conn, **asdict(selection), most=most)


async def list_ignored_events(
    conn: Connection, selection: Selection, after: Position, most: int
) -> list[Position]:
    """Return the same as `list_unfinished_events` of ignored events that have a payload."""
    return await _list_selected(conn, _queries.list_ignored_events, selection, after, most)


async def _list_selected(
    conn: Connection, query: Query, selection: Selection, after: Position, most: int
) -> list[Position]:
    received_at, event_id = after
    rows = await query.fetch(
        conn,
        **asdict(selection),
        after_received_at=received_at,
        after_id=event_id,
        most=most,
    )
    return [(row["received_at"], row["id"]) for row in rows]
