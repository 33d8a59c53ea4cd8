"""Where each millisecond of an order, a purchase, a renewal and a tie goes.

Web process, worker, client and Stripe's sandbox are parts of one process here, so that its CPU time
can be sampled by part; jobs run without their queue. One thing happens at a time, as the sandbox
sends its webhooks. After each statement the CPU time of its backend is read, so each has its own,
with its commit. The first of each kind are not counted: they load what a process loads once, and
plan what a connection plans once.

    python -m benchmarks breakdown [--count 40]
"""

import argparse
import asyncio
import itertools
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from asyncpg.connection import LoggedQuery

from benchmarks.sampler import OTHERS, sampling
from benchmarks.servers import free_port, scratch_folder
from mpanel_billing.database import pool as pools
from mpanel_billing.database.migrations import migrate
from mpanel_billing.database.queries import Connection, name_of
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.http.app import create_app
from mpanel_billing.http.connections import Runner
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.gateway import open_gateway
from stripe_sandbox import Sandbox, SandboxConfig, running_sandbox
from stripe_sandbox.client import SandboxClient
from tests import stripe_objects as made
from tests.faults.deployment import order_of
from tests.inline_worker import InlineWorker, worker_of
from tests.service import (
    CREATE_SESSION,
    WEBHOOK_SECRET,
    Service,
    make_settings,
    sell_default_catalogue,
)

WARM_UP = 15
_MONTH_SECONDS = 32 * 86_400
_UNREAD = [
    "charge.succeeded",
    "customer.discount.created",
    "invoice.upcoming",
    "invoiceitem.created",
    "payment_intent.created",
    "payment_intent.succeeded",
    "payment_method.attached",
]
_MOST_LINES = 25

Run = Callable[[int], Awaitable[None]]
"""Does one thing that many times."""


class StatementCosts:
    """The CPU time of PostgreSQL by statement, of connections that are opened from now on."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._before: dict[int, float] = {}
        self._set_up = pools.set_up_connection
        pools.set_up_connection = self._listen

    async def _listen(self, conn: Connection) -> None:
        await self._set_up(conn)
        backend = conn.get_server_pid()
        self._before[backend] = _cpu_of(backend)
        conn.add_query_logger(lambda query: self._note(backend, query))

    def _note(self, backend: int, query: LoggedQuery) -> None:
        now = _cpu_of(backend)
        name = _label(query)
        self.seconds[name] += now - self._before[backend]
        self.calls[name] += 1
        self._before[backend] = now

    def forget(self) -> None:
        self.seconds.clear()
        self.calls.clear()


def _cpu_of(backend: int) -> float:
    """Return the CPU time of a process, to the nanosecond."""
    return int(Path(f"/proc/{backend}/schedstat").read_text().split()[0]) / 1e9


def _label(query: LoggedQuery) -> str:
    """Return the statement's name; of received events also their types."""
    name = name_of(query.query)
    if not name.endswith("receive_events"):
        return name
    types = next(v for v in query.args if isinstance(v, list) and v and _is_type(v[0]))
    return f"{name} {'+'.join(types)}"


def _is_type(value: object) -> bool:
    return isinstance(value, str) and value.startswith(("customer", "invoice", "checkout"))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks breakdown", description=__doc__)
    parser.add_argument("--count", type=int, default=40)
    options = parser.parse_args(arguments)
    with scratch_folder() as folder, EmbeddedPostgres(folder / "postgres") as postgres:
        postgres.create_database("bench")
        asyncio.run(_measure(postgres.url("bench"), options.count))


async def _measure(url: str, count: int) -> None:
    await migrate(url)
    costs = StatementCosts()
    async with _shop(url) as service, AsyncExitStack() as stack:
        pool = await stack.enter_async_context(await pools.create_pool(service.settings))
        gateway = await stack.enter_async_context(open_gateway(service.settings))
        lives = Lives(service, worker_of(service, gateway, pool))
        for name, (prepare, run) in lives.kinds.items():
            await prepare(WARM_UP + count)
            await run(WARM_UP)
            costs.forget()
            started = time.process_time()
            with sampling() as samples:
                await run(count)
            _print(name, count, time.process_time() - started, samples, costs)


def _print(
    name: str,
    count: int,
    seconds: float,
    samples: Counter[tuple[str, str]],
    costs: StatementCosts,
) -> None:
    """Print the milliseconds of CPU of one, part by part."""
    ours = sum(n for (part, _), n in samples.items() if part != OTHERS)
    python = seconds * ours / samples.total() * 1000 / count
    server = sum(costs.seconds.values()) * 1000 / count
    print(f"{name}: {python:.1f} ms of Python, {server:.1f} ms of PostgreSQL")
    by_part: Counter[str] = Counter()
    for (part, whose), n in samples.items():
        if part != OTHERS:
            by_part[f"{part}: {whose}"] += n
    for what, n in by_part.most_common(_MOST_LINES):
        print(f"  {seconds * n / samples.total() * 1000 / count:7.2f} ms  {what}")
    for statement, spent in sorted(costs.seconds.items(), key=itemgetter(1), reverse=True):
        calls = costs.calls[statement] / count
        print(f"  {spent * 1000 / count:7.2f} ms  {calls:5.2f} x {statement}", flush=True)


@asynccontextmanager
async def _shop(url: str) -> AsyncIterator[Service]:
    """Run sandbox and service; the catalogue is on sale."""
    async with AsyncExitStack() as stack:
        sandbox: Sandbox = await stack.enter_async_context(running_sandbox(SandboxConfig()))
        settings = make_settings(database_url=url, stripe_api_base=sandbox.url)
        stripe = await stack.enter_async_context(SandboxClient(sandbox.url))
        pool = await stack.enter_async_context(await pools.create_pool(settings))
        async with open_gateway(settings) as gateway:
            await sell_default_catalogue(pool, gateway)
        await pool.execute("DELETE FROM catalogue_edits")
        address = await stack.enter_async_context(_served(settings))
        await stripe.set_delivery(drop=_UNREAD)
        sandbox.add_webhook(f"{address}/api/webhooks/stripe", WEBHOOK_SECRET)
        client = await stack.enter_async_context(aiohttp.ClientSession(address))
        yield Service(client, sandbox, stripe, pool, settings)  # type: ignore[arg-type]


@asynccontextmanager
async def _served(settings: Settings) -> AsyncIterator[str]:
    runner = Runner(create_app(settings))
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"http://127.0.0.1:{port}"
    await runner.cleanup()


class Lives:
    """What customers do, one at a time: how it is prepared, and what is measured."""

    def __init__(self, service: Service, worker: InlineWorker) -> None:
        self._service = service
        self._worker = worker
        self._orders: list[dict[str, Any]] = []
        self._numbers = itertools.count(1)
        self._ties = itertools.count()
        self._second = int(time.time())
        self.kinds: Mapping[str, tuple[Run, Run]] = {
            "an order": (_nothing, self._order),
            "a purchase": (_nothing, self._pay),
            "a renewal": (_nothing, self._renew),
            "a tie": (self._see, self._tie),
        }

    async def _order(self, count: int) -> None:
        for _ in range(count):
            request = order_of(next(self._numbers))
            async with self._service.client.post(CREATE_SESSION, **request) as response:
                self._orders.append(await response.json())
            await self._service.stripe.wait_idle()

    async def _pay(self, count: int) -> None:
        """Pay while the success page waits; then the job of the worker runs."""
        for order in self._orders[:count]:
            waiting = asyncio.create_task(self._wait_until_active(order["sessionId"]))
            await self._service.stripe.pay(order["url"])
            await self._worker.catch_up()
            await waiting
        del self._orders[:count]

    async def _wait_until_active(self, session_id: str) -> None:
        status = ""
        while status != "active":
            path = f"/api/checkout/session/{session_id}?wait=25"
            async with self._service.client.get(path) as response:
                status = (await response.json())["status"]

    async def _renew(self, _: int) -> None:
        """Renew all subscriptions: as many as are measured and the first ones."""
        stripe = self._service.stripe
        await stripe.advance_time(await stripe.now() + _MONTH_SECONDS)
        await stripe.wait_idle(120)

    async def _see(self, count: int) -> None:
        for number in range(count):
            await self._send("customer.subscription.created", number, amount=500)

    async def _tie(self, count: int) -> None:
        for _ in range(count):
            await self._send("customer.subscription.updated", next(self._ties), amount=900)

    async def _send(self, type_: str, number: int, **more: Any) -> None:
        about = made.subscription(f"sub_{number}", customer=f"cus_{number}", **more)
        event = made.event(type_, about, id_=f"evt_{type_}{number}", created=self._second)
        body = made.encoded(event)
        headers = {"Stripe-Signature": made.sign(body, WEBHOOK_SECRET)}
        path = "/api/webhooks/stripe"
        async with self._service.client.post(path, data=body, headers=headers) as response:
            assert response.status == 200, await response.text()


async def _nothing(_: int) -> None:
    """Prepare nothing."""
