"""The worker's process sends what is recorded, at once."""

import asyncio

from aiohttp import web

from mpanel_billing.database.pool import Pool
from tests.inbox import Inbox
from tests.messages.conftest import Panel
from tests.processes import running_worker


async def test_a_worker_sends_what_is_recorded_when_it_is_recorded(
    pool: Pool, database_url: str, inbox: Inbox, panel: Panel
) -> None:
    arrived = asyncio.Event()

    async def arrive(_: web.Request) -> web.Response:
        arrived.set()
        return web.Response(status=204)

    await inbox.order()
    await panel.add(pool)
    async with running_worker(database_url) as worker:
        await worker.wait_for("worker ready")
        panel.answers.append(arrive)
        await pool.execute("UPDATE subscriptions SET status = 'pending'")
        await pool.execute("UPDATE subscriptions SET status = 'active'")
        async with asyncio.timeout(30):
            await arrived.wait()
    assert panel.types == ["subscription.activated"]
