"""The database's disk is full: what cannot be stored is not acknowledged, and comes again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.convergence import check_converged
from tests.faults.ledger import Ledger
from tests.faults.load import under_load
from tests.faults.town import Town

FULL_SECONDS = 2.0

REFUSE = """
CREATE FUNCTION refuse_to_grow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full';
END $$
"""


@asynccontextmanager
async def full_disk(town: Town, *tables: str) -> AsyncIterator[None]:
    """Answer each insert into the tables as PostgreSQL does when their files cannot grow."""
    triggers = [
        f"CREATE TRIGGER full_disk BEFORE INSERT ON {table} EXECUTE FUNCTION refuse_to_grow()"
        for table in tables
    ]
    await town.pool.execute(";".join([REFUSE, *triggers]))
    yield
    await town.pool.execute("DROP FUNCTION refuse_to_grow CASCADE")


async def test_a_disk_that_is_full_for_a_while(town: Town, ledger: Ledger) -> None:
    await town.start_web()
    worker = await town.start_worker()
    tables = ("stripe_events", "orders", "provisioning_log", "tenants", "subscription_items")
    async with under_load(town) as load, full_disk(town, *tables):
        assert await town.try_to_order() == 503
        await asyncio.sleep(FULL_SECONDS)
    await check_converged(town, load)
    assert town.journal.statuses() == {200, 503}
    assert town.journal.statuses("event") == {200, 503}
    refused = [answer for answer in town.journal.answers if answer.status == 503]
    assert all(answer.retry_after for answer in refused)
    assert worker.process.returncode is None
    ledger.enter(
        f"disk full for {FULL_SECONDS:.0f} s (SQLSTATE 53100 on inserts) under load",
        town.journal,
        recovered="Stripe's retries and the buyers' next clicks, once there is space",
    )
