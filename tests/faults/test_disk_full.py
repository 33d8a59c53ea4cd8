"""The database's disk is full: what cannot be stored is not acknowledged, and is sent again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.convergence import check_converged
from tests.faults.deployment import Deployment
from tests.faults.load import under_load
from tests.faults.reliability_document import ReliabilityDocument

FULL_SECONDS = 2.0

WRITING = """
CREATE OR REPLACE FUNCTION grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    {}
END $$
"""
FULL = (
    "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';"
)
ROOM = "RETURN NULL;"


@asynccontextmanager
async def full_disk(deployment: Deployment, *tables: str) -> AsyncIterator[None]:
    """Fail every insert into the tables as PostgreSQL does when their files cannot grow.

    Each table is locked on its own, and only before: several at once would deadlock with the load.
    """
    await deployment.pool.execute(WRITING.format(ROOM))
    for table in tables:
        await deployment.pool.execute(
            f"CREATE TRIGGER disk BEFORE INSERT ON {table} EXECUTE FUNCTION grow()"
        )
    await deployment.pool.execute(WRITING.format(FULL))
    yield
    await deployment.pool.execute(WRITING.format(ROOM))


async def test_a_disk_that_is_full_for_a_while(
    deployment: Deployment, document: ReliabilityDocument
) -> None:
    await deployment.start_web()
    worker = await deployment.start_worker()
    tables = ("stripe_events", "orders", "provisioning_log", "tenants", "subscription_items")
    async with under_load(deployment) as load, full_disk(deployment, *tables):
        assert await deployment.order_once() == 503
        await asyncio.sleep(FULL_SECONDS)
    await check_converged(deployment, load)
    assert deployment.responses.statuses() == {200, 503}
    assert deployment.responses.statuses("event") == {200, 503}
    refused = [response for response in deployment.responses.all if response.status == 503]
    assert all(response.retry_after for response in refused)
    assert worker.process.returncode is None
    document.record(
        f"disk full for {FULL_SECONDS:.0f} s (SQLSTATE 53100 on inserts) under load",
        deployment.responses,
        recovered="Stripe's retries and the buyers' next clicks, once there is space",
    )
