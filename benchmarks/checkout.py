"""What one customer costs, from order to renewal: latency, CPU, WAL, rows and bytes.

One web process, one worker, PostgreSQL with fsync on, and the sandbox as Stripe: its CPU is not
counted, its time is part of the latencies. Buyers order, a few at a time; then they pay and poll
the success page until the tenant is active; then a month passes and every subscription renews.
Each phase starts new processes. Finally the events are aged and pruned.

    python -m benchmarks.checkout [--buyers 500] [--at-once 4]
"""

import argparse
import asyncio
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from benchmarks.postgres_cost import cost_between, read_counters
from benchmarks.servers import cpu_seconds, scratch_folder
from benchmarks.table_sizes import TableSizes, print_inbox
from mpanel_billing.database.migrations import migrate
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.retention.service import ages_of, prune
from tests.faults.deployment import Deployment, open_deployment, order_of
from tests.processes import ServiceProcess, running_api, running_worker
from tests.service import CREATE_SESSION, make_settings

_MONTH_SECONDS = 32 * 86_400
_PATIENCE_SECONDS = 80.0
UNLIMITED = {"RATE_LIMIT_ORDERS": "off", "RATE_LIMIT_LOOKUPS": "off"}
_UNREAD_EVENTS = [
    "charge.succeeded",
    "customer.discount.created",
    "invoice.upcoming",
    "invoiceitem.created",
    "payment_intent.created",
    "payment_intent.succeeded",
    "payment_method.attached",
]
"""Types that the sandbox also sends, but that the service's endpoint does not subscribe to."""

_TYPES = "SELECT type AS name, count(*) AS count FROM stripe_events GROUP BY type"
_JOBS = """
SELECT entrypoint AS name, count(*) AS count
FROM pgqueuer_log
WHERE status = 'successful'
GROUP BY entrypoint
"""
_AGE = "UPDATE stripe_events SET received_at = received_at - interval '91 days'"

Input = TypeVar("Input")
Outcome = TypeVar("Outcome")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.checkout", description=__doc__)
    parser.add_argument("--buyers", type=int, default=500)
    parser.add_argument("--at-once", type=int, default=4)
    options = parser.parse_args()
    with scratch_folder() as folder, EmbeddedPostgres(folder / "postgres") as postgres:
        postgres.create_database("bench")
        asyncio.run(measure(postgres, options.buyers, options.at_once))


async def measure(postgres: EmbeddedPostgres, buyers: int, at_once: int) -> None:
    """Print what each phase costs and what it adds to the tables."""
    await migrate(postgres.url("bench"))
    async with open_deployment(postgres.url("bench")) as deployment:
        run = CheckoutRun(postgres, deployment, buyers, at_once)
        await run.deliver_setup_events()
        sizes = await TableSizes.open(deployment.pool)
        async with run.phase("order"):
            sessions = await run.order_all()
        await sizes.print_growth("an order", buyers)
        async with run.phase("purchase"):
            await run.pay_all(sessions)
        await sizes.print_growth("a purchase", buyers)
        async with run.phase("renewal"):
            await run.renew_all()
        await sizes.print_growth("a renewal", buyers)
        await print_inbox(deployment.pool)
        await deployment.pool.execute(_AGE)
        await prune(deployment.pool, ages_of(make_settings()))
        await print_inbox(deployment.pool)


@dataclass
class CheckoutRun:
    """The buyers, `at_once` of them at a time, and the processes that serve them."""

    postgres: EmbeddedPostgres
    deployment: Deployment
    buyers: int
    at_once: int
    first: int = 0
    """The number of the first of the buyers."""

    @property
    def _url(self) -> str:
        return self.postgres.url("bench")

    async def deliver_setup_events(self) -> None:
        """Receive the events of the set-up; from then on, only those of a real endpoint."""
        async with running_api(
            self._url, self.deployment.port, stripe_url=self.deployment.stripe_url
        ):
            await self.deployment.stripe.wait_idle(_PATIENCE_SECONDS)
        await self.deployment.stripe.set_delivery(drop=_UNREAD_EVENTS)

    async def order_all(self) -> list[dict[str, Any]]:
        """Order; print the response times, which include Stripe's."""
        numbers = range(self.first, self.first + self.buyers)
        timed = await self._each(numbers, self._order)
        _print_latencies("order", [seconds for seconds, _ in timed])
        return [session for _, session in timed]

    async def pay_all(self, sessions: Sequence[dict[str, Any]]) -> None:
        """Pay; print how long it takes until the success page shows the tenant as active."""
        _print_latencies("active after payment", await self._each(sessions, self._pay))
        await self.deployment.stripe.wait_idle(_PATIENCE_SECONDS)

    async def renew_all(self) -> None:
        """Advance Stripe's clock by a month, and wait until all events are delivered."""
        await self.deployment.stripe.advance_time(
            await self.deployment.stripe.now() + _MONTH_SECONDS
        )
        await self.deployment.stripe.wait_idle(_PATIENCE_SECONDS)

    async def _order(self, number: int) -> tuple[float, dict[str, Any]]:
        started = time.perf_counter()
        session = await self.deployment.request_until_ok(
            "order", "POST", CREATE_SESSION, **order_of(number)
        )
        return time.perf_counter() - started, session

    async def _pay(self, session: dict[str, Any]) -> float:
        paid = await self.deployment.stripe.pay(session["url"])
        assert paid.status == 303, paid
        started = time.perf_counter()
        await self.deployment.wait_until_active(session["sessionId"])
        return time.perf_counter() - started

    async def _each(
        self, inputs: Iterable[Input], work: Callable[[Input], Awaitable[Outcome]]
    ) -> list[Outcome]:
        limit = asyncio.Semaphore(self.at_once)

        async def run(input_: Input) -> Outcome:
            async with limit:
                return await work(input_)

        return await asyncio.gather(*map(run, inputs))

    @asynccontextmanager
    async def phase(self, name: str) -> AsyncIterator[None]:
        """Run a web process and a worker for the block; print its cost per buyer."""
        events, jobs = await self._count(_TYPES), await self._count(_JOBS)
        before = await read_counters(self.postgres, self._url)
        stripe = self.deployment.stripe_url
        async with (
            running_api(self._url, self.deployment.port, stripe_url=stripe, **UNLIMITED) as web,
            running_worker(self._url, stripe_url=stripe) as worker,
        ):
            started = time.perf_counter(), cpu_of(web), cpu_of(worker)
            yield
            ended = time.perf_counter(), cpu_of(web), cpu_of(worker)
            await web.stop()
            await worker.stop()
        cost = cost_between(self.postgres, before, await read_counters(self.postgres, self._url))
        seconds, web_cpu, worker_cpu = (b - a for a, b in zip(started, ended, strict=True))
        print(
            f"{name}: {self.buyers} in {seconds:.1f} s; each took web "
            f"{web_cpu / self.buyers * 1000:.1f} ms CPU, worker "
            f"{worker_cpu / self.buyers * 1000:.1f} ms CPU, {cost.per(self.buyers)}"
        )
        self._print_counts("events", await self._count(_TYPES) - events)
        self._print_counts("jobs", await self._count(_JOBS) - jobs)

    async def _count(self, query: str) -> Counter[str]:
        rows = await self.deployment.pool.fetch(query)
        return Counter({row["name"]: row["count"] for row in rows})

    def _print_counts(self, what: str, counts: Counter[str]) -> None:
        each = ", ".join(f"{name} {n / self.buyers:.2f}" for name, n in sorted(counts.items()))
        print(f"  {counts.total() / self.buyers:.2f} {what}: {each or 'none'}")


def cpu_of(service: ServiceProcess) -> float:
    return cpu_seconds(service.process.pid)


def _print_latencies(what: str, seconds: Sequence[float]) -> None:
    hundredths = statistics.quantiles(seconds, n=100)
    print(f"{what}: p50 {hundredths[49] * 1000:.0f} ms, p99 {hundredths[98] * 1000:.0f} ms")


if __name__ == "__main__":
    main()
