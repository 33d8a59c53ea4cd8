"""What an order costs: `POST /api/checkout/create-session` until the payment page is there.

One web process, PostgreSQL with fsync on, and the sandbox as Stripe: its CPU is not counted, its
time is part of the latencies, and it sends no webhooks. The first orders are not measured: they
load what a process loads once, and plan what a connection plans once. Then, in turns, new buyers
order, and customers for whom mPanel vouches; figures are medians of ROUNDS rounds.

    python -m benchmarks orders [--orders 100] [--at-once 4] [--statements]
"""

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import asyncpg

from benchmarks.checkout import UNLIMITED, cpu_of
from benchmarks.purchase import SANDBOX, count_requests, count_statements, print_statements
from benchmarks.servers import postgres_cpu, postmaster_of, scratch_folder
from mpanel_billing.database.migrations import migrate
from mpanel_billing.dev.postgres import EmbeddedPostgres
from tests.faults.deployment import Deployment, open_deployment, order_of
from tests.faults.response_log import OK
from tests.processes import ServiceProcess, running_api
from tests.service import CREATE_SESSION

ROUNDS = 5
WARM_UP = 60
_KEY = "key-of-mpanels-backend-in-benchmarks"
_BACKEND = {"Authorization": f"Bearer {_KEY}"}
_KNOWN = """
INSERT INTO customers (email, stripe_customer_id)
SELECT 'known-' || stripe_id || '@example.com', stripe_id
FROM unnest($1::text[]) AS stripe_id
RETURNING id
"""

Make = Callable[[int], Awaitable[list[dict[str, Any]]]]
"""Makes the requests of that many orders."""


@dataclass(frozen=True)
class Cost:
    """What an order took: CPU and latency in milliseconds, and calls to Stripe."""

    web: float
    postgres: float
    p50: float
    p99: float
    calls: float

    @classmethod
    def median(cls, rounds: "Sequence[Cost]") -> "Cost":
        """Return the median of each figure separately."""
        return cls(*map(statistics.median, zip(*map(astuple, rounds), strict=True)))

    def __str__(self) -> str:
        return (
            f"CPU {self.web + self.postgres:.2f} ms = web {self.web:.2f} + PostgreSQL "
            f"{self.postgres:.2f}; p50 {self.p50:.0f}, p99 {self.p99:.0f} ms; "
            f"{self.calls:.2f} calls to Stripe"
        )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks orders", description=__doc__)
    parser.add_argument("--orders", type=int, default=100, help="of a round")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--statements", action="store_true", help="with pg_stat_statements")
    options = parser.parse_args(arguments)
    with scratch_folder() as folder, EmbeddedPostgres(folder / "postgres") as postgres:
        if options.statements:
            count_statements(postgres)
        postgres.create_database("bench")
        asyncio.run(measure(postgres, options))


async def measure(postgres: EmbeddedPostgres, options: argparse.Namespace) -> None:
    """Print what an order of a new buyer costs, and one of a known customer."""
    url = postgres.url("bench")
    await migrate(url)
    settings = {**UNLIMITED, "BILLING_API_KEYS": _KEY}
    async with open_deployment(url, sandbox=SANDBOX) as deployment:
        await deployment.stripe.set_delivery(drop=["customer.created", "customer.updated"])
        stripe_url = deployment.stripe_url
        async with running_api(url, deployment.port, stripe_url=stripe_url, **settings) as web:
            print(f"web process {web.process.pid}", flush=True)
            await Orders(postgres, deployment, web, options).run()


class Orders:
    """Places orders, some at once, and measures rounds of them."""

    def __init__(
        self,
        postgres: EmbeddedPostgres,
        deployment: Deployment,
        web: ServiceProcess,
        options: argparse.Namespace,
    ) -> None:
        self._postgres = postgres
        self._deployment = deployment
        self._web = web
        self._count: int = options.orders
        self._at_once: int = options.at_once
        self._statements: bool = options.statements
        self._numbers = itertools.count(1)

    async def run(self) -> None:
        """Order by new buyers and by known customers in turns; print the medians."""
        makers: dict[str, Make] = {
            "a new buyer": self._new_buyers,
            "a known customer": self._known_customers,
        }
        for make in makers.values():
            await self._place_all(await make(WARM_UP))
        taken: dict[str, list[Cost]] = {name: [] for name in makers}
        for _ in range(ROUNDS):
            for name, make in makers.items():
                taken[name].append(await self._round(await make(self._count)))
        for name, rounds in taken.items():
            print(f"order of {name}: {Cost.median(rounds)}", flush=True)
        if self._statements:
            await self._print_statements(makers)

    async def _new_buyers(self, count: int) -> list[dict[str, Any]]:
        return [order_of(next(self._numbers)) for _ in range(count)]

    async def _known_customers(self, count: int) -> list[dict[str, Any]]:
        """Return orders for customers whom both mPanel and Stripe have already."""
        stripe = self._deployment.stripe_client.v1.customers
        made = [(await stripe.create_async({"name": "Ada Lovelace"})).id for _ in range(count)]
        rows = await self._deployment.pool.fetch(_KNOWN, made)
        requests = [order_of(next(self._numbers)) for _ in rows]
        for row, request in zip(rows, requests, strict=True):
            request["json"]["customerId"] = str(row["id"])
            request["headers"] |= _BACKEND
        return requests

    async def _round(self, requests: Sequence[dict[str, Any]]) -> Cost:
        asked, before = await self._asked(), self._cpu()
        seconds = await self._place_all(requests)
        after = self._cpu()
        web, postgres = ((b - a) / len(seconds) for a, b in zip(before, after, strict=True))
        hundredths = statistics.quantiles(seconds, n=100)
        calls = (await self._asked() - asked) / len(seconds)
        return Cost(
            web * 1000, postgres * 1000, hundredths[49] * 1000, hundredths[98] * 1000, calls
        )

    def _cpu(self) -> tuple[float, float]:
        return cpu_of(self._web), postgres_cpu(postmaster_of(self._postgres))

    async def _asked(self) -> int:
        return (await count_requests(self._deployment.stripe_url)).total()

    async def _place_all(self, requests: Sequence[dict[str, Any]]) -> list[float]:
        limit = asyncio.Semaphore(self._at_once)

        async def place(request: dict[str, Any]) -> float:
            async with limit:
                started = time.perf_counter()
                status, body = await self._deployment.request(
                    "order", "POST", CREATE_SESSION, **request
                )
                assert status == OK, body
                return time.perf_counter() - started

        return await asyncio.gather(*map(place, requests))

    async def _print_statements(self, makers: Mapping[str, Make]) -> None:
        """Print what PostgreSQL runs for an order of each kind."""
        conn = await asyncpg.connect(self._postgres.url("bench"))
        await conn.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        for name, make in makers.items():
            requests = await make(self._count)
            await conn.execute("SELECT pg_stat_statements_reset()")
            await self._place_all(requests)
            print(f"statements of {name}:")
            await print_statements(conn, self._count)
        await conn.close()
