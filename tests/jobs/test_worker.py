"""The worker, as a process of its own."""

import asyncio
import json
from typing import Any

import asyncpg

from tests.jobs.worker_process import running_worker
from tests.service import Service


async def wait_until(database_url: str, query: str, *args: object) -> asyncpg.Record:
    """Wait for a row, looking again whenever a subscription has moved."""
    conn = await asyncpg.connect(database_url)
    moved = asyncio.Event()
    try:
        await conn.add_listener("billing_subscription", lambda *_: moved.set())
        async with asyncio.timeout(30):
            while (row := await conn.fetchrow(query, *args)) is None:
                await moved.wait()
                moved.clear()
    finally:
        await conn.close()
    return row


async def test_an_order_that_is_paid_gets_its_tenant(
    service: Service, database_url: str, order_a: dict[str, Any]
) -> None:
    async with running_worker(database_url, stripe_url=service.sandbox.url) as worker:
        answer = await service.buy(order_a)
        row = await wait_until(
            database_url,
            "SELECT * FROM subscriptions WHERE id = $1::text::uuid AND status = 'active'",
            answer["subscriptionId"],
        )
        assert row["tenant_id"] is not None
        assert await worker.stop() == 0
    for line in worker.lines:
        assert json.loads(line)["level"] in {"info", "debug"}, line
