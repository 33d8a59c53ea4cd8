"""Rule 1: what was acknowledged is on disk, whenever the process is killed."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.test_utils import TestServer

from mpanel_billing.database.pool import Pool
from mpanel_billing.stripe_gateway.gateway import open_gateway
from tests import stripe_objects as made
from tests.convergence.lifecycles import STEPS, disordered
from tests.convergence.rows import MIRRORED, ask_stripe, live_all, mirrored_rows
from tests.convergence.truth import create_truth
from tests.inbox import Inbox
from tests.service import WEBHOOK_SECRET, make_settings

KILLS = 6
CONNECTIONS = 8
LIVES = 30


@dataclass
class Api:
    """The real web process, killed and started again on the same port."""

    environment: Mapping[str, str]
    process: asyncio.subprocess.Process | None = None
    up: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mpanel_billing", "serve", env={**os.environ, **self.environment}
        )
        url = f"http://127.0.0.1:{self.environment['PORT']}/api/health/live"
        async with aiohttp.ClientSession() as session:
            while not self.up.is_set():
                try:
                    async with session.get(url) as answer:
                        if answer.status == 200:
                            self.up.set()
                except aiohttp.ClientError:
                    await asyncio.sleep(0.02)

    async def kill(self) -> None:
        assert self.process is not None
        self.up.clear()
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


@dataclass
class Stripe:
    """Sends each event until it is acknowledged, as Stripe does."""

    api: Api
    acknowledged: list[str] = field(default_factory=list)
    failures: int = 0
    progress: asyncio.Event = field(default_factory=asyncio.Event)

    async def send_all(self, events: Sequence[Mapping[str, Any]]) -> None:
        url = f"http://127.0.0.1:{self.api.environment['PORT']}/api/webhooks/stripe"
        async with aiohttp.ClientSession() as session:
            for event in events:
                while not await self._acknowledges(session, url, event):
                    self.failures += 1
                    await self.api.up.wait()

    async def _acknowledges(
        self, session: aiohttp.ClientSession, url: str, event: Mapping[str, Any]
    ) -> bool:
        body = made.encoded(event)
        headers = {"Stripe-Signature": made.sign(body, WEBHOOK_SECRET)}
        try:
            async with session.post(url, data=body, headers=headers) as answer:
                if answer.status != 200:
                    return False
        except aiohttp.ClientError:
            return False
        self.acknowledged.append(event["id"])
        self.progress.set()
        return True


async def test_every_acknowledged_event_survives_kills_and_the_mirror_equals_the_truth(
    database_url: str, pool: Pool, unused_tcp_port: int
) -> None:
    chance = random.Random(7)
    plans = [
        {
            "trial": chance.random() < 0.3,
            "ordered": chance.random() < 0.5,
            "classic": chance.random() < 0.5,
            "recovered": False,
            "steps": [(chance.choice(STEPS), chance.choice([0, 0, 1])) for _ in range(6)],
        }
        for _ in range(LIVES)
    ]
    calm, wild = await live_all(pool, plans, "calm"), await live_all(pool, plans, "wild")
    objects = {id_: about for life in (*calm, *wild) for id_, about in life.objects.items()}
    for life in calm:
        for event in life.events:
            await Inbox(pool).take(event)
    events = disordered([event for life in wild for event in life.events], chance)

    async with TestServer(create_truth(objects)) as truth:
        stripe = Stripe(
            Api(
                {
                    "DATABASE_URL": database_url,
                    "STRIPE_SECRET_KEY": "sk_test_crash",
                    "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
                    "APP_URL": "http://panel.test",
                    "PORT": str(unused_tcp_port),
                    "LOG_LEVEL": "error",
                }
            )
        )
        await stripe.api.start()
        sending = asyncio.gather(
            *(stripe.send_all(events[n::CONNECTIONS]) for n in range(CONNECTIONS))
        )
        for number in range(1, KILLS + 1):
            await _reach(stripe, number * len(events) // (KILLS + 1))
            await stripe.api.kill()
            await stripe.api.start()
        await sending
        await stripe.api.kill()
        settings = make_settings(
            database_url=database_url, stripe_api_base=str(truth.make_url("/"))
        )
        gateway = open_gateway(settings)
        await ask_stripe(pool, gateway)
        await gateway.close()

    kept = {row["id"] for row in await pool.fetch("SELECT id FROM stripe_events")}
    assert set(stripe.acknowledged) <= kept
    assert {event["id"] for event in events} <= kept
    assert stripe.failures > 0, "no request was under way when the process was killed"
    for table in MIRRORED:
        in_order = await mirrored_rows(pool, table, "calm")
        assert await mirrored_rows(pool, table, "wild") == in_order, table


async def _reach(stripe: Stripe, count: int) -> None:
    """Wait until that many events are acknowledged."""
    while len(stripe.acknowledged) < count:
        stripe.progress.clear()
        await stripe.progress.wait()
