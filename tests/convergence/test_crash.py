"""Rule 1: what was acknowledged is on disk, whenever the process is killed.

CRASH_KILLS asks for more kills, and as many more lives, than `make test` has time for.
"""

import asyncio
import os
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp.test_utils import TestServer

from mpanel_billing.database.pool import Pool
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.gateway import open_gateway
from tests import stripe_objects as made
from tests.convergence.lifecycles import disordered
from tests.convergence.rows import CATALOGUE, MIRRORED, live_all, mirrored_rows, run_refetches
from tests.convergence.steps import STEPS
from tests.convergence.stripe_stub import create_stripe_stub
from tests.inbox import Inbox
from tests.processes import running_api
from tests.service import WEBHOOK_SECRET, make_settings

KILLS = int(os.environ.get("CRASH_KILLS", "3"))
CONNECTIONS = 8
LIVES = 5 * KILLS


@dataclass
class Stripe:
    """Sends each event until it is acknowledged, as Stripe does."""

    url: str
    up: asyncio.Event = field(default_factory=asyncio.Event)
    acknowledged: list[str] = field(default_factory=list)
    failures: int = 0
    progress: asyncio.Event = field(default_factory=asyncio.Event)

    async def send_all(self, events: Sequence[Mapping[str, Any]]) -> None:
        async with aiohttp.ClientSession() as session:
            for event in events:
                await self.up.wait()
                while not await self._acknowledges(session, event):
                    self.failures += 1
                    await self.up.wait()

    async def _acknowledges(self, session: aiohttp.ClientSession, event: Mapping[str, Any]) -> bool:
        body = made.encoded(event)
        headers = {"Stripe-Signature": made.sign(body, WEBHOOK_SECRET)}
        try:
            async with session.post(self.url, data=body, headers=headers) as answer:
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
            "steps": [(chance.choice(list(STEPS)), chance.choice([0, 0, 1])) for _ in range(6)],
        }
        for _ in range(LIVES)
    ]
    await pool.execute(CATALOGUE)
    calm, wild = await live_all(pool, plans, "calm"), await live_all(pool, plans, "wild")
    objects = {id_: about for life in (*calm, *wild) for id_, about in life.objects.items()}
    for life in calm:
        for event in life.events:
            await Inbox(pool).receive(event)
    events = disordered([event for life in wild for event in life.events], chance)

    stripe = Stripe(f"http://127.0.0.1:{unused_tcp_port}/api/webhooks/stripe")
    sending = asyncio.gather(*(stripe.send_all(events[n::CONNECTIONS]) for n in range(CONNECTIONS)))
    for number in range(1, KILLS + 1):
        async with running_api(database_url, unused_tcp_port) as api:
            stripe.up.set()
            await _reach(stripe, number * len(events) // (KILLS + 1))
            stripe.up.clear()
            await api.kill()
    async with running_api(database_url, unused_tcp_port):
        stripe.up.set()
        await sending
    await _settle(pool, database_url, objects)

    kept = {row["id"] for row in await pool.fetch("SELECT id FROM stripe_events")}
    assert set(stripe.acknowledged) <= kept
    assert {event["id"] for event in events} <= kept
    assert stripe.failures > 0, "no request was under way when the process was killed"
    for table in MIRRORED:
        in_order = await mirrored_rows(pool, table, "calm")
        assert await mirrored_rows(pool, table, "wild") == in_order, table


async def _settle(pool: Pool, database_url: str, objects: Mapping[str, Mapping[str, Any]]) -> None:
    """Run the requested refetches, as the worker does."""
    async with TestServer(create_stripe_stub(objects)) as truth:
        base = str(truth.make_url("/"))
        gateway = open_gateway(make_settings(database_url=database_url, stripe_api_base=base))
        await run_refetches(Mirror(pool, gateway, livemode=False))
        await gateway.close()


async def _reach(stripe: Stripe, count: int) -> None:
    """Wait until that many events are acknowledged."""
    while len(stripe.acknowledged) < count:
        stripe.progress.clear()
        await stripe.progress.wait()
