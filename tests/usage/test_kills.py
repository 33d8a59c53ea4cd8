"""Usage is neither lost nor counted twice, whatever is killed: API, worker, answers of Stripe.

USAGE_RECORDS asks for more records, and so for more kills, than `make test` has time for; more
than 100,000 take longer than a test may (`-o faulthandler_timeout=3600`).
"""

import asyncio
import os
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from mpanel_billing.catalogue.usage import read_tiers, usage_cost
from tests.ports import unused_port
from tests.processes import running_api, running_worker
from tests.subscriptions.conftest import BEARER, KEY
from tests.usage.conftest import METERED_ORDER, Reporter, record

RECORDS = int(os.environ.get("USAGE_RECORDS", "2000"))
IN_A_CALL = 100
KILLS = max(3, RECORDS // 1000)
BUYERS = 2
TIMES_OF_SPACE = 100
"""Of each buyer: its latest value counts, and there is one of a second."""
MOST_SECONDS = 90 + RECORDS / 50

Told = Sequence[dict[str, Any]]


async def test_killed_processes_lose_and_double_no_usage(reporter: Reporter) -> None:
    chance = random.Random(RECORDS)
    buyers = [await buy(reporter, number) for number in range(BUYERS)]
    told, calls = records(chance, buyers), 0
    async with asyncio.timeout(MOST_SECONDS), Fleet(reporter) as fleet:
        killing = asyncio.create_task(fleet.kill_often(chance))
        for start in range(0, RECORDS, IN_A_CALL):
            calls += await tell(chance, told[start : start + IN_A_CALL], fleet.port)
        await killing
        await all_sent(reporter)
    assert calls >= RECORDS / IN_A_CALL
    assert await reporter.service.pool.fetchval("SELECT count(*) FROM billing_usage") == RECORDS
    for buyer in buyers:
        await billed_as_told(reporter, buyer, [x for x in told if x["subscriptionId"] == buyer])


async def buy(reporter: Reporter, number: int) -> str:
    customer = {"name": "Ada", "email": f"ada-{number}@example.com"}
    order = await reporter.service.buy(METERED_ORDER | {"customer": customer})
    return str(order["subscriptionId"])


def records(chance: random.Random, buyers: Sequence[str]) -> Told:
    """Return what was used in the first minutes of their terms, in no order."""
    begun = datetime.now(UTC)
    space = [
        record(
            f"space-{buyer}-{second}",
            buyer,
            chance.randint(0, 50),
            "space_gb",
            at=begun + timedelta(seconds=second),
        )
        for buyer in buyers
        for second in range(TIMES_OF_SPACE)
    ]
    traffic = [
        record(
            f"traffic-{number}",
            chance.choice(buyers),
            chance.randint(0, 50),
            at=begun + timedelta(microseconds=chance.randint(0, 200_000_000)),
        )
        for number in range(RECORDS - len(space))
    ]
    told = space + traffic
    chance.shuffle(told)
    return told


async def tell(chance: random.Random, call: Told, port: int) -> int:
    """Report until all is there, and now and then again; return how often it was answered."""
    answered = 0
    async with aiohttp.ClientSession(headers=BEARER) as session:
        while True:
            try:
                answer = await session.post(
                    f"http://127.0.0.1:{port}/api/billing/usage", json={"records": call}
                )
                body = await answer.json()
            except aiohttp.ClientError:
                await asyncio.sleep(0.05)
                continue
            assert answer.status == 200, body
            assert {x["status"] for x in body["results"]} <= {"stored", "duplicate"}, body
            answered += 1
            if chance.random() > 0.1:
                return answered


class Fleet:
    """An API process and a worker, which are killed and started again."""

    def __init__(self, reporter: Reporter) -> None:
        self.reporter = reporter
        self.port = unused_port()
        self._running: dict[str, AsyncExitStack] = {}

    async def __aenter__(self) -> "Fleet":
        for name in ("api", "worker"):
            await self._start(name)
        return self

    async def __aexit__(self, *_: object) -> None:
        for stack in self._running.values():
            await stack.aclose()

    async def _start(self, name: str) -> None:
        settings = self.reporter.service.settings
        url, stripe_url = settings.database_url.get_secret_value(), str(settings.stripe_api_base)
        stack = AsyncExitStack()
        if name == "api":
            process = running_api(url, self.port, stripe_url=stripe_url, BILLING_API_KEYS=KEY)
        else:
            process = running_worker(url, stripe_url=stripe_url, USAGE_REQUESTS_PER_SECOND="1000")
        await stack.enter_async_context(process)
        self._running[name] = stack

    async def kill_often(self, chance: random.Random) -> None:
        """Kill one of them in the middle of what it does, or lose an answer of Stripe."""
        for number in range(KILLS):
            await asyncio.sleep(chance.uniform(0.05, 0.5))
            name = ("worker", "api")[number % 2]
            if number % 3 == 0:
                await self.reporter.service.stripe.inject_fault(
                    "reset", path="/v1/billing/meter_events", after_work=chance.random() < 0.5
                )
            await self._running[name].aclose()  # SIGKILL
            await self.reporter.hurry()
            await self._start(name)


async def all_sent(reporter: Reporter) -> None:
    """Wait until Stripe has been told; what a dead worker has claimed becomes due at once."""
    while await reporter.service.pool.fetchval(
        "SELECT count(*) FROM billing_meter_events WHERE state = 'waiting'"
    ):
        await reporter.hurry()
        await asyncio.sleep(0.5)
    assert set(await reporter.states()) == {"sent"}


async def billed_as_told(reporter: Reporter, buyer: str, told: Told) -> None:
    traffic = sum(x["quantity"] for x in told if x["meter"] == "traffic_gb")
    space = [x for x in told if x["meter"] == "space_gb"]
    latest = max(space, key=lambda x: datetime.fromisoformat(x["timestamp"]))["quantity"]
    assert await reporter.stripe_has(buyer, "traffic_gb") == traffic
    assert await reporter.stripe_has(buyer, "space_gb") == latest
    row = await reporter.service.row("SELECT tiers FROM prices WHERE meter = 'traffic_gb'")
    cost = usage_cost(read_tiers(row["tiers"]), traffic, "usd")
    upcoming = await reporter.backend.get(f"subscriptions/{buyer}/upcoming-invoice")
    assert upcoming.body["upcomingInvoice"]["total"] == 799 + cost + 10 * latest
