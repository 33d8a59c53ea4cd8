"""Wait for another session or process, where PostgreSQL notifies of nothing."""

import asyncio

from mpanel_billing.database.pool import Pool
from mpanel_billing.database.queries import Connection

_LOOK_SECONDS = 0.01
_PATIENCE_SECONDS = 30

_BLOCKED = """
    SELECT EXISTS (
        SELECT FROM pg_stat_activity
        WHERE datname = current_database() AND $1::integer = ANY (pg_blocking_pids(pid))
    )
"""


async def until_true(watch: "Pool | Connection", query: str, *args: object) -> None:
    """Return once a query returns true; TimeoutError after 30 seconds."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not await watch.fetchval(query, *args):  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(_LOOK_SECONDS)


async def until_blocking(blocker: Connection, watch: "Pool | Connection") -> None:
    """Return once a session waits for a lock of `blocker`; TimeoutError after 30 seconds."""
    await until_true(watch, _BLOCKED, blocker.get_server_pid())
