"""Many paid subscriptions at once: two workers share them, and keep to the service's limits."""

import asyncio
import json

from mpanel_billing.database.pool import Pool
from tests.processes import running_worker
from tests.provisioning.bulk_sales import open_shop, sell_at_once
from tests.provisioning.reference_server import ReferenceServer

BUYERS = 60
AT_ONCE = 3
_LEFT = "SELECT count(*) FROM subscriptions WHERE status <> 'active'"


async def test_a_burst_is_shared_by_the_workers_within_the_limits_of_the_service(
    pool: Pool, database_url: str, server: ReferenceServer
) -> None:
    server.delay = 0.02
    services = {"hosting": server.endpoint(concurrency=AT_ONCE)}
    environment = {"PROVISIONING_SERVICES": json.dumps(services)}
    await open_shop(pool, BUYERS)
    async with (
        running_worker(database_url, **environment) as first,
        running_worker(database_url, **environment) as second,
    ):
        await sell_at_once(pool, BUYERS)
        await until_all_active(pool)
        assert await first.stop() == await second.stop() == 0
    made = [sum("create hosting: done" in line for line in w.lines) for w in (first, second)]
    assert sum(made) == len(server.world.accounts) == BUYERS
    assert min(made) > 0
    assert server.most_at_once <= 2 * AT_ONCE


async def until_all_active(pool: Pool) -> None:
    """Look again whenever a subscription has moved."""
    moved = asyncio.Event()

    def note(*_: object) -> None:
        moved.set()

    async with asyncio.timeout(60), pool.acquire() as conn:
        await conn.add_listener("billing_subscription", note)
        while await conn.fetchval(_LEFT):
            await moved.wait()
            moved.clear()
        await conn.remove_listener("billing_subscription", note)
