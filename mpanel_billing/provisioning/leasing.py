"""Takes the lease on a subscription, prolongs it while a run works, and returns it unfinished."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.jobs.queue import enqueue_provisioning_retry
from mpanel_billing.provisioning.lease import (
    LEASE_SECONDS,
    Clock,
    Lease,
    LeaseBusyError,
    database_clock,
)
from mpanel_billing.provisioning.repository import leases

PROLONG_SECONDS = 5.0


async def take_lease(
    pool: Pool, subscription_id: UUID, clock: Clock = database_clock
) -> Lease | None:
    """Take the lease, or return None if there is nothing to do.

    Raises LeaseBusyError while another run has it.
    """
    token = uuid4()
    async with acquired(pool) as conn:
        taken = await leases.take(conn, subscription_id, token, seconds=LEASE_SECONDS, now=clock())
        if taken is not None:
            return Lease(subscription_id, token, taken["version"], taken["attempts"], clock)
        busy = await leases.get_seconds(conn, subscription_id, now=clock())
    if busy is not None:
        raise LeaseBusyError(busy)
    return None


@asynccontextmanager
async def kept(pool: Pool, lease: Lease) -> AsyncIterator[None]:
    """Prolong the lease for as long as the block runs."""
    keeper = asyncio.create_task(_keep(pool, lease))
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.wait({keeper})


async def break_off(pool: Pool, lease: Lease, error: str | None, retry_seconds: float) -> None:
    """Return the lease of an unfinished run, and trigger the next.

    `error` says why it did not finish; None: it was interrupted. Does nothing if the lease is lost.
    """
    async with transaction(pool) as conn:
        if await leases.break_off(
            conn,
            lease.subscription_id,
            lease.token,
            error=error,
            retry_seconds=retry_seconds,
            now=lease.clock(),
        ):
            await enqueue_provisioning_retry(
                conn, lease.subscription_id, lease.version, lease.attempts, retry_seconds
            )


async def _keep(pool: Pool, lease: Lease) -> None:
    while True:
        await asyncio.sleep(PROLONG_SECONDS)
        try:
            async with acquired(pool) as conn:
                await leases.prolong(
                    conn,
                    lease.subscription_id,
                    lease.token,
                    seconds=LEASE_SECONDS,
                    now=lease.clock(),
                )
        except DatabaseUnavailableError:
            continue  # the next try may be in time; if not, the writes find the lease lost
