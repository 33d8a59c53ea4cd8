"""Leases on subscriptions. `now` None means the database's time."""

from datetime import datetime
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("provisioning")


async def take(
    conn: Connection, subscription_id: UUID, token: UUID, *, seconds: float, now: datetime | None
) -> asyncpg.Record | None:
    """Take the lease; return version and attempts, or None if it is taken or nothing is due."""
    return await _queries.take_lease.fetch_one(
        conn, subscription_id=subscription_id, token=token, lease_seconds=seconds, now=now
    )


async def get_seconds(
    conn: Connection, subscription_id: UUID, *, now: datetime | None
) -> float | None:
    """Return the seconds until the current lease expires; None if there is no lease."""
    seconds: float | None = await _queries.get_lease_seconds.fetch_value(
        conn, subscription_id=subscription_id, now=now
    )
    return seconds


async def prolong(
    conn: Connection, subscription_id: UUID, token: UUID, *, seconds: float, now: datetime | None
) -> None:
    """Prolong the lease, unless it is lost."""
    await _queries.prolong_lease.execute(
        conn, subscription_id=subscription_id, token=token, lease_seconds=seconds, now=now
    )


async def break_off(
    conn: Connection,
    subscription_id: UUID,
    token: UUID,
    *,
    error: str | None,
    retry_seconds: float,
    now: datetime | None,
) -> bool:
    """Return the lease of an unfinished run; False if it is lost."""
    broken_off = await _queries.break_off.fetch_value(
        conn,
        subscription_id=subscription_id,
        token=token,
        error=error,
        retry_seconds=retry_seconds,
        now=now,
    )
    return bool(broken_off)
