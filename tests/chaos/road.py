"""The road from Stripe to the service, on which webhooks get lost, doubled, late and out of order.

It is the client whose list counts: what the service has answered with a 200, and nothing else, is
acknowledged.
"""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from tests.faults.response_log import NO_RESPONSE, OK, ResponseLog

LOST, LOST_ANSWER, TWICE, LATE = 0.04, 0.04, 0.6, 0.05
"""Shares: never arrives; arrives and Stripe is not told; twice at once; waits."""
MOST_AGAIN = 3
"""How often a webhook comes again later, at most."""
MOST_LATE_SECONDS = 0.3
AGAIN_SECONDS = 20
AT_ONCE = 1000
"""How many of those that come again may be under way."""
PATIENCE = aiohttp.ClientTimeout(total=8)


@dataclass
class Road:
    """Passes webhooks on. `delivered` counts the answers with a 200, repetitions included."""

    port: int
    target: str
    responses: ResponseLog
    chance: random.Random = field(default_factory=random.Random)
    acknowledged: set[str] = field(default_factory=set)
    sent: int = 0
    delivered: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    is_rough: bool = True
    most_again: int = MOST_AGAIN
    _repeats: set[asyncio.Task[int]] = field(default_factory=set)
    _session: aiohttp.ClientSession | None = None

    @property
    def base(self) -> str:
        """The address that Stripe sends to."""
        return f"http://127.0.0.1:{self.port}/webhooks"

    @asynccontextmanager
    async def opened(self) -> AsyncIterator["Road"]:
        """Listen during the block."""
        app = web.Application()
        app.router.add_post("/webhooks/{stream}", self._receive)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        async with aiohttp.ClientSession(timeout=PATIENCE) as self._session:
            try:
                yield self
            finally:
                await runner.cleanup()
                await self.calm()

    async def calm(self) -> None:
        """Pass everything on from now on, once; return when nothing comes again."""
        self.is_rough = False
        await asyncio.gather(*self._repeats, return_exceptions=True)

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        signature = request.headers["Stripe-Signature"]
        if not self.is_rough:
            return web.Response(status=await self._pass_on(body, signature) or 504)
        fate = self.chance.random()
        if fate < LOST:
            return web.Response(status=503)
        if self.chance.random() < LATE:
            await asyncio.sleep(self.chance.random() * MOST_LATE_SECONDS)
        status = await self._pass_on_roughly(body, signature)
        return web.Response(status=504 if fate < LOST + LOST_ANSWER else status or 504)

    async def _pass_on_roughly(self, body: bytes, signature: str) -> int:
        """Pass it on, perhaps twice at once, perhaps again later; return the worst status."""
        copies = 2 if self.chance.random() < TWICE else 1
        statuses = await asyncio.gather(*(self._pass_on(body, signature) for _ in range(copies)))
        for _ in range(self.chance.randint(0, self.most_again)):
            if len(self._repeats) >= AT_ONCE:
                break
            repeat = asyncio.create_task(self._pass_on_again(body, signature))
            self._repeats.add(repeat)
            repeat.add_done_callback(self._repeats.discard)
        return max(statuses, key=lambda status: status != OK)

    async def _pass_on_again(self, body: bytes, signature: str) -> int:
        await asyncio.sleep(self.chance.random() * AGAIN_SECONDS)
        return await self._pass_on(body, signature)

    async def _pass_on(self, body: bytes, signature: str) -> int:
        assert self._session is not None
        headers = {"Stripe-Signature": signature, "Content-Type": "application/json"}
        self.sent += 1
        started = time.monotonic()
        status = NO_RESPONSE
        try:
            async with self._session.post(self.target, data=body, headers=headers) as response:
                await response.read()
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        self.responses.record("event", status, started)
        self.statuses[status] += 1
        if status == OK:
            self.acknowledged.add(json.loads(body)["id"])
            self.delivered += 1
        return status
