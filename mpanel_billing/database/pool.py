"""Connections to PostgreSQL, set up the way our queries expect them."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.settings import DatabaseSettings

CONNECT_TIMEOUT_SECONDS = 5.0
ACQUIRE_TIMEOUT_SECONDS = 5.0
COMMAND_TIMEOUT_SECONDS = 30.0

CONNECTION_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.ReadOnlySQLTransactionError,
)
"""What says that the database is not there now, rather than that a statement is wrong."""


async def set_up_connection(conn: Connection) -> None:
    """Let jsonb columns come and go as Python values."""
    await conn.set_type_codec("jsonb", encoder=json.dumps, decoder=json.loads, schema="pg_catalog")


async def create_pool(settings: DatabaseSettings) -> asyncpg.Pool:
    """Open the pool without waiting for the database: `min_size` connections come with use.

    A service that starts while its database is away answers 503 until it is back.
    """
    return await asyncpg.create_pool(
        settings.database_url.get_secret_value(),
        min_size=0,
        max_size=settings.database_pool_max,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=COMMAND_TIMEOUT_SECONDS,
        init=set_up_connection,
        server_settings={"application_name": "mpanel-billing", "timezone": "UTC"},
    )


@asynccontextmanager
async def acquired(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """Take a connection; DatabaseUnavailableError when there is none, or it breaks in use."""
    try:
        async with pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as conn:
            yield conn
    except CONNECTION_ERRORS as error:
        raise DatabaseUnavailableError(
            "The database cannot be reached just now; please try again in a moment.",
            retry_after=5,
        ) from error


@asynccontextmanager
async def transaction(pool: asyncpg.Pool) -> AsyncIterator[Connection]:
    """Take a connection and a transaction that is committed on the way out."""
    async with acquired(pool) as conn, conn.transaction():
        yield conn
