"""What has to be looked at now and then, because nothing happens when it changes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from mpanel_billing.database.pool import Pool
from mpanel_billing.telemetry import counters

_EVERY_SECONDS = 5.0


@asynccontextmanager
async def sampled(pool: Pool, process: counters.Process) -> AsyncIterator[None]:
    """Show how the pool of this process is used, for as long as the block runs."""
    sampling = asyncio.create_task(_keep_sampling(pool, process))
    try:
        yield
    finally:
        sampling.cancel()
        with suppress(asyncio.CancelledError):
            await sampling


async def _keep_sampling(pool: Pool, process: counters.Process) -> None:
    counters.PROCESSES.labels(process).set(1)
    counters.POOL_MOST.labels(process).set(pool.get_max_size())
    while True:
        _sample(pool, process)
        await asyncio.sleep(_EVERY_SECONDS)


def _sample(pool: Pool, process: counters.Process) -> None:
    idle = pool.get_idle_size()
    counters.POOL_CONNECTIONS.labels(process, "idle").set(idle)
    counters.POOL_CONNECTIONS.labels(process, "used").set(pool.get_size() - idle)
