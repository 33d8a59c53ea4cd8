"""How a process uses its connection pool: metrics and spans."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager

from mpanel_billing.background import background
from mpanel_billing.database.pool import Pool, PoolObserver, create_pool
from mpanel_billing.database.queries import Connection, name_of
from mpanel_billing.settings import DatabaseSettings
from mpanel_billing.telemetry import counters
from mpanel_billing.telemetry.tracing import active_tracing

_SAMPLE_SECONDS = 5.0


class PoolTelemetry(PoolObserver):
    """Observes a pool: counts the requests for a connection, traces the statements."""

    def connected(self, conn: Connection) -> None:
        """Trace the statements of a new connection, if tracing is on."""
        if (tracing := active_tracing()) is not None:
            tracing.watch_connection(conn, name_of)

    def waiting(self) -> AbstractContextManager[object]:
        """Count a request that waits for a connection."""
        return counters.POOL_WAITING.track_inprogress()

    def timed_out(self) -> None:
        """Count a request that got no connection in time."""
        counters.POOL_TIMEOUTS.inc()


async def open_pool(settings: DatabaseSettings) -> Pool:
    """Open a pool with telemetry."""
    return await create_pool(settings, PoolTelemetry())


@asynccontextmanager
async def sampled(pool: Pool, process: counters.Process) -> AsyncIterator[None]:
    """Update the gauges of this process's pool every few seconds until the block ends."""
    async with background(_keep_sampling(pool, process)):
        yield


async def _keep_sampling(pool: Pool, process: counters.Process) -> None:
    counters.PROCESSES.labels(process).set(1)
    counters.POOL_MAX_CONNECTIONS.labels(process).set(pool.get_max_size())
    while True:
        _sample(pool, process)
        await asyncio.sleep(_SAMPLE_SECONDS)


def _sample(pool: Pool, process: counters.Process) -> None:
    idle = pool.get_idle_size()
    counters.POOL_CONNECTIONS.labels(process, "idle").set(idle)
    counters.POOL_CONNECTIONS.labels(process, "used").set(pool.get_size() - idle)
