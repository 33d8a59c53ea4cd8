"""Connections to PostgreSQL, set up for our queries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    nullcontext,
    suppress,
)
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

import asyncpg
import orjson

from mpanel_billing.database.connecting import CONNECT_TIMEOUT_SECONDS, connect
from mpanel_billing.database.pgbouncer import BouncingConnection
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.settings import DatabaseSettings

if TYPE_CHECKING:
    _Pool = asyncpg.Pool[asyncpg.Record]
else:  # generic in its stubs only
    _Pool = asyncpg.Pool

CLOSE_TIMEOUT_SECONDS = 2.0
"""How long closing a pool waits for connections that are in use; then it cuts them."""
ACQUIRE_TIMEOUT_SECONDS = 3.0
"""How long a request waits for a connection: long enough for thousands of statements, and short
enough that the client is still waiting for the response."""
COMMAND_TIMEOUT_SECONDS = 30.0
LOCK_TIMEOUT_SECONDS = 5.0
"""How long a statement waits for a lock. Ours are held for milliseconds; if a table is locked for
longer, requests get a 503 before they use up all connections."""
IDLE_IN_TRANSACTION_SECONDS = 10.0
"""How long a process may do nothing within a transaction: ours wait for nothing else in one. Then
the server ends the session, and the locks of a process that is frozen are free again."""

_SESSION_SETTINGS = {"application_name": "mpanel-billing", "timezone": "UTC"}
_SERVER_SETTINGS = {
    **_SESSION_SETTINGS,
    "lock_timeout": f"{LOCK_TIMEOUT_SECONDS:.0f}s",
    "idle_in_transaction_session_timeout": f"{IDLE_IN_TRANSACTION_SECONDS:.0f}s",
    # our queries look rows up by key: planning each call would cost more than running it
    "plan_cache_mode": "force_generic_plan",
    # compiling a query of the console took longer than the query, again in each connection
    "jit": "off",
}
"""PgBouncer refuses the last four, and has to set them itself (docs/deployment.md)."""
_STATEMENTS = 100
"""The most prepared statements that a connection keeps."""

CONNECTION_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    # a connection is being cut, or no server of several accepts writes yet
    asyncpg.InternalClientError,
    asyncpg.InsufficientResourcesError,  # class 53: out of disk, memory or connections
    asyncpg.PostgresSystemError,  # class 58: I/O errors
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,  # by statement_timeout or an administrator
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.IdleInTransactionSessionTimeoutError,  # this process was frozen
    asyncpg.InvalidCatalogNameError,
    asyncpg.InvalidAuthorizationSpecificationError,
)
"""Errors that mean that the database is unavailable, not that a statement is wrong."""


class PoolObserver:
    """Hooks for what happens to a pool; these do nothing."""

    def connected(self, conn: Connection) -> None:
        """Handle a new connection."""

    def waiting(self) -> AbstractContextManager[object]:
        """Return a context that lasts while a request waits for a connection."""
        return nullcontext()

    def timed_out(self) -> None:
        """Handle a request that gave up after ACQUIRE_TIMEOUT_SECONDS."""


_UNOBSERVED = PoolObserver()


class BoundedPool(_Pool):
    """A pool over one or several servers, which closes in CLOSE_TIMEOUT_SECONDS in any case.

    asyncpg waits until all connections are returned: forever, if a listener that has failed keeps
    one.
    """

    def __init__(self, dsn: str, **options: Any) -> None:
        """Take the options of asyncpg.create_pool."""
        super().__init__(
            dsn,
            connect=connect,  # type: ignore[arg-type]  # its stub names each option
            max_queries=50_000,  # these are the defaults of asyncpg.create_pool
            max_inactive_connection_lifetime=300.0,
            loop=None,
            record_class=asyncpg.Record,
            **{"connection_class": asyncpg.Connection} | options,
        )

    async def close(self) -> None:
        """Close all connections; cut those that are still in use in the end."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await super().close()  # cuts them if it is cancelled


class Pool(BoundedPool):
    """A pool of connections that are set up for our queries, and its observer."""

    def __init__(self, observer: PoolObserver, dsn: str, **options: Any) -> None:
        """Take the options of asyncpg.create_pool."""
        self.observer = observer
        super().__init__(dsn, init=self._set_up, **options)

    async def _set_up(self, conn: Connection) -> None:
        await set_up_connection(conn)
        self.observer.connected(conn)


async def set_up_connection(conn: Connection) -> None:
    """Convert jsonb columns to and from Python values."""
    await conn.set_type_codec(
        "jsonb", encoder=encode_json, decoder=orjson.loads, schema="pg_catalog"
    )


def encode_json(value: object) -> str:
    """Return JSON for PostgreSQL: times in ISO 8601, UUIDs and decimals as strings."""
    return orjson.dumps(value, default=_encode_value).decode()


def _encode_value(value: object) -> str:
    if isinstance(value, Decimal | UUID):  # orjson does not know asyncpg's subclass of UUID
        return str(value)
    msg = f"{type(value).__name__} is not a JSON value"
    raise TypeError(msg)


async def create_pool(settings: DatabaseSettings, observer: PoolObserver = _UNOBSERVED) -> Pool:
    """Open the pool, with DATABASE_POOL_MIN connections if the database is available.

    A service that starts while the database is down returns 503 until it is up. If
    DATABASE_DIRECT_URL is set, DATABASE_URL must be PgBouncer's.
    """
    bouncing = settings.database_direct_url is not None
    pool = Pool(
        observer,
        settings.pool_url,
        min_size=0,
        max_size=settings.database_pool_max,
        timeout=CONNECT_TIMEOUT_SECONDS,
        command_timeout=COMMAND_TIMEOUT_SECONDS,
        reset=reset_open_transaction,
        server_settings=_SESSION_SETTINGS if bouncing else _SERVER_SETTINGS,
        statement_cache_size=0 if bouncing else _STATEMENTS,
        connection_class=BouncingConnection if bouncing else asyncpg.Connection,
    )
    await pool
    await _warm_up(pool, settings.database_pool_min)
    return pool


async def reset_open_transaction(conn: Connection) -> None:
    """Reset a returned connection; we leave no session state, at most an open transaction."""
    if conn.is_in_transaction():
        await conn.reset()


async def _warm_up(pool: Pool, count: int) -> None:
    """Open connections, as many as the database grants now."""
    async with AsyncExitStack() as opened:
        with suppress(*CONNECTION_ERRORS):
            for _ in range(count):
                await opened.enter_async_context(pool.acquire(timeout=CONNECT_TIMEOUT_SECONDS))


def acquired(pool: Pool) -> AbstractAsyncContextManager[Connection]:
    """Yield a connection; DatabaseUnavailableError if there is none, or it breaks in use."""
    return _Acquired(pool)


class _Acquired:
    """A context of its own: each request pays for it, and a generator costs twice as much."""

    __slots__ = ("_conn", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> Connection:
        try:
            self._conn = await _take(self._pool)
        except CONNECTION_ERRORS as error:
            raise _unavailable() from error
        return self._conn

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            await self._pool.release(self._conn)
        except CONNECTION_ERRORS as broken:
            _raise_unavailable(broken)
        if isinstance(error, CONNECTION_ERRORS):
            _raise_unavailable(error)


def _raise_unavailable(error: BaseException) -> NoReturn:
    """Raise DatabaseUnavailableError, or go on with the cancellation of this task.

    Rolling back and releasing are part of a cancellation: if the server is silent, their errors
    would replace it, and who handles an outage would handle them and go on.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error
    raise _unavailable() from error


def _unavailable() -> DatabaseUnavailableError:
    return DatabaseUnavailableError(
        "The database is temporarily unavailable; please try again in a moment.", retry_after=5
    )


def is_open(conn: Connection) -> bool:
    """Whether an acquired connection still has its server; asyncpg takes it away if not."""
    try:
        return not conn.is_closed()
    except asyncpg.InterfaceError:
        return False


async def _take(pool: Pool) -> "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]":
    try:
        with pool.observer.waiting():
            return await pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS)
    except TimeoutError:
        pool.observer.timed_out()
        raise


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """Yield a connection in a transaction, which is committed at the end of the block."""
    async with acquired(pool) as conn, conn.transaction():
        yield conn
