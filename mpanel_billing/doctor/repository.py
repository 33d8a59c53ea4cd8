"""The doctor's queries."""

from collections.abc import Collection, Sequence
from datetime import datetime

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("doctor")


async def get_server(conn: Connection) -> asyncpg.Record:
    """Return version, major, encoding, standby and connections (the limit)."""
    return _row(await _queries.get_server.fetch_one(conn))


async def get_role(conn: Connection) -> asyncpg.Record:
    """Return name, superuser and owner (of our tables) of the role of this connection."""
    return _row(await _queries.get_role.fetch_one(conn))


async def count_trouble(conn: Connection) -> Sequence[asyncpg.Record]:
    """Return trouble (the kind), number and oldest_seconds of billing_trouble, oldest first."""
    return await _queries.count_trouble.fetch(conn)


async def list_sold_types(conn: Connection) -> list[str]:
    """Return the product types of what is on sale."""
    return [row["product_type"] for row in await _queries.list_sold_types.fetch(conn)]


async def get_clock(conn: Connection) -> datetime:
    """Return the server's current time."""
    at: datetime = await _queries.get_clock.fetch_value(conn)
    return at


async def list_schema_versions(conn: Connection) -> set[str]:
    """Return the versions of all applied migrations; empty without our schema."""
    try:
        rows = await _queries.list_schema_versions.fetch(conn)
    except asyncpg.UndefinedTableError:
        return set()
    return {row["version"] for row in rows}


async def get_backlog(conn: Connection) -> asyncpg.Record:
    """Return how long the oldest job, event, refetch and provisioning has been due, in seconds."""
    return _row(await _queries.get_backlog.fetch_one(conn))


async def list_broad_keys(conn: Connection) -> list[str]:
    """Return the names of valid keys with the scope `billing`, which includes all others."""
    return [row["name"] for row in await _queries.list_broad_keys.fetch(conn)]


async def list_ending_keys(conn: Connection, within_days: int) -> dict[str, int]:
    """Return the keys in use that expire within so many days: name -> days left."""
    rows = await _queries.list_ending_keys.fetch(conn, within_days=within_days)
    return {row["name"]: row["days"] for row in rows}


async def list_secrets(conn: Connection) -> Sequence[asyncpg.Record]:
    """Return kind, name and since of the secrets in the database."""
    return await _queries.list_secrets.fetch(conn)


async def get_inbox(conn: Connection) -> asyncpg.Record:
    """Return failed, given_up and oldest_seconds of the events not applied."""
    return _row(await _queries.get_inbox.fetch_one(conn))


async def get_worker(conn: Connection) -> asyncpg.Record:
    """Return seen_seconds_ago (None: never) and the number of the workers' connections."""
    return _row(await _queries.get_worker.fetch_one(conn))


async def get_latest_event(conn: Connection) -> asyncpg.Record | None:
    """Return type and seconds_ago of the latest event received."""
    return await _queries.get_latest_event.fetch_one(conn)


async def list_known_events(conn: Connection, ids: Collection[str]) -> set[str]:
    """Return the ids that are in the inbox."""
    rows = await _queries.list_known_events.fetch(conn, ids=list(ids))
    return {row["id"] for row in rows}


async def list_unsold_announced(conn: Connection) -> dict[str, int]:
    """Return the prices announced and off sale: Stripe's id -> how many subscriptions."""
    rows = await _queries.list_unsold_announced.fetch(conn)
    return {row["stripe_price_id"]: row["subscriptions"] for row in rows}


def _row(row: asyncpg.Record | None) -> asyncpg.Record:
    assert row is not None  # noqa: S101 - a select without a table always returns a row
    return row


async def count_overdue_tax_notices(conn: Connection, *, livemode: bool) -> int:
    """Count the notices that have been over for an hour, of subscriptions that are not taxed."""
    query = _queries.count_overdue_tax_notices
    return int(await query.fetch_value(conn, livemode=livemode))
