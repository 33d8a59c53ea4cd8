"""Who works on a subscription: one run at a time, whatever dies when.

A lease is a row's token with a time limit, not a lock of the database: no connection is held
while a driver is asked, and a pooler in between does no harm. The run prolongs it while it lives;
a killed one is taken over when the limit has passed.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID, uuid4

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import load_queries
from mpanel_billing.errors import BillingError, DatabaseUnavailableError
from mpanel_billing.jobs.queue import enqueue_provisioning_retry
from mpanel_billing.provisioning.clock import Clock, database_clock

LEASE_SECONDS = 15.0
PROLONG_SECONDS = 5.0

_queries = load_queries("provisioning")


class LeaseBusyError(BillingError):
    """Another run works on the subscription; `seconds` from now at the latest it may be tried."""

    code = "lease_busy"

    def __init__(self, seconds: float) -> None:
        """Keep the seconds."""
        super().__init__("Another worker is at it.")
        self.seconds = seconds


class LeaseLostError(BillingError):
    """Another run has taken over; this one has no say any longer."""

    code = "lease_lost"

    def __init__(self) -> None:
        """Say so."""
        super().__init__("Another worker has taken over.")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a subscription, whose wish had that `version` when it was taken.

    `attempts` counts the runs since the last that ended well, this one included; the run goes by
    `clock`.
    """

    subscription_id: UUID
    token: UUID
    version: int
    attempts: int
    clock: Clock = database_clock


async def take_lease(
    pool: Pool, subscription_id: UUID, clock: Clock = database_clock
) -> Lease | None:
    """Take the lease; None when there is nothing to do.

    Raises LeaseBusyError while another run has it.
    """
    token = uuid4()
    async with acquired(pool) as conn:
        taken = await _queries.take_lease.fetch_one(
            conn,
            subscription_id=subscription_id,
            token=token,
            lease_seconds=LEASE_SECONDS,
            now=clock(),
        )
        if taken is not None:
            return Lease(subscription_id, token, taken["version"], taken["attempts"], clock)
        busy = await _queries.get_lease_seconds.fetch_value(
            conn, subscription_id=subscription_id, now=clock()
        )
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
    """Give the lease of a run back that did not get to its end, and trigger the next.

    `error` says why; None: it was only interrupted. Does nothing once the lease is lost.
    """
    async with transaction(pool) as conn:
        broken_off = await _queries.break_off.fetch_value(
            conn,
            subscription_id=lease.subscription_id,
            token=lease.token,
            error=error,
            retry_seconds=retry_seconds,
            now=lease.clock(),
        )
        if broken_off:
            await enqueue_provisioning_retry(
                conn, lease.subscription_id, lease.version, lease.attempts, retry_seconds
            )


async def _keep(pool: Pool, lease: Lease) -> None:
    while True:
        await asyncio.sleep(PROLONG_SECONDS)
        try:
            async with acquired(pool) as conn:
                await _queries.prolong_lease.execute(
                    conn,
                    subscription_id=lease.subscription_id,
                    token=lease.token,
                    lease_seconds=LEASE_SECONDS,
                    now=lease.clock(),
                )
        except DatabaseUnavailableError:
            continue  # the next beat may be in time; if not, every write asks for the token
