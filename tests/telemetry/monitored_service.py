"""The service as production runs it, to be scraped."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from stripe_sandbox import Sandbox
from stripe_sandbox.client import SandboxClient
from tests.ports import unused_port
from tests.processes import ServiceProcess, running_api, running_worker
from tests.service import WEBHOOK_SECRET


@dataclass
class MonitoredService:
    """Real processes, started with the same environment."""

    database_url: str
    sandbox: Sandbox
    stripe: SandboxClient
    stack: AsyncExitStack
    environment: dict[str, str] = field(default_factory=dict)

    async def start_api(self, port: int | None = None) -> tuple[ServiceProcess, int]:
        port = port or unused_port()
        api = running_api(self.database_url, port, stripe_url=self.sandbox.url, **self.environment)
        return await self.stack.enter_async_context(api), port

    async def start_worker(self, **more: str) -> ServiceProcess:
        worker = running_worker(
            self.database_url, stripe_url=self.sandbox.url, **self.environment | more
        )
        return await self.stack.enter_async_context(worker)

    async def buy(self, port: int, body: Mapping[str, Any], **headers: str) -> None:
        """Order, pay, and wait for the tenant, as a buyer does."""
        url = f"http://127.0.0.1:{port}/api"
        self.sandbox.add_webhook(f"{url}/webhooks/stripe", WEBHOOK_SECRET)
        async with asyncio.timeout(60), aiohttp.ClientSession() as browser:
            create = browser.post(f"{url}/checkout/create-session", json=body, headers=headers)
            async with create as answer:
                order = await answer.json()
                assert answer.status == 200, order
            assert (await self.stripe.pay(order["url"])).status == 303
            status = ""
            while status != "active":
                follow = browser.get(f"{url}/checkout/session/{order['sessionId']}?wait=20")
                async with follow as answer:
                    status = (await answer.json())["status"]
        await self.stripe.wait_idle()


async def get(port: int, path: str, times: int = 1) -> None:
    """Request a path, several times."""
    async with aiohttp.ClientSession() as client:
        for _ in range(times):
            async with client.get(f"http://127.0.0.1:{port}{path}") as answer:
                await answer.read()
