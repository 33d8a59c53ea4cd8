"""What the doctor asks of the database."""

from collections.abc import Collection
from datetime import datetime

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("doctor")


async def get_server(conn: Connection) -> asyncpg.Record:
    """Return version, major, encoding, standby and connections (how many it allows)."""
    return _row(await _queries.get_server.fetch_one(conn))


async def get_clock(conn: Connection) -> datetime:
    """Return the time that the server's clock shows now."""
    at: datetime = await _queries.get_clock.fetch_value(conn)
    return at


async def list_schema_versions(conn: Connection) -> set[str]:
    """Return the versions of all migrations applied; none on a database without our schema."""
    try:
        rows = await _queries.list_schema_versions.fetch(conn)
    except asyncpg.UndefinedTableError:
        return set()
    return {row["version"] for row in rows}


async def get_backlog(conn: Connection) -> asyncpg.Record:
    """Return for job, event, refetch and provisioning how long the oldest is due, in seconds."""
    return _row(await _queries.get_backlog.fetch_one(conn))


async def get_inbox(conn: Connection) -> asyncpg.Record:
    """Return of the events that are not applied: failed, given_up, oldest_seconds."""
    return _row(await _queries.get_inbox.fetch_one(conn))


async def get_worker(conn: Connection) -> asyncpg.Record:
    """Return seen_seconds_ago (None: never), and how many connections of workers there are."""
    return _row(await _queries.get_worker.fetch_one(conn))


async def get_latest_event(conn: Connection) -> asyncpg.Record | None:
    """Return type and seconds_ago of the event that was received last."""
    return await _queries.get_latest_event.fetch_one(conn)


async def list_known_events(conn: Connection, ids: Collection[str]) -> set[str]:
    """Return those of the ids that the inbox has."""
    rows = await _queries.list_known_events.fetch(conn, ids=list(ids))
    return {row["id"] for row in rows}


def _row(row: asyncpg.Record | None) -> asyncpg.Record:
    assert row is not None  # noqa: S101 - a select without a table always answers a row
    return row
