"""What one customer costs, from the order to the renewal: latency, CPU, WAL, rows and bytes.

One web process, one worker, PostgreSQL with fsync on, and the sandbox as Stripe: its CPU is not
counted, its time is in the latencies. So many buyers, a few at once, order; then they pay and
follow the success page until the tenant is active; then a month passes, and all of them renew.
Each stretch has processes of its own. At the end the events grow old, and are pruned.

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

from benchmarks.meter import cost_between, read_meter
from benchmarks.scratch import scratch_folder
from benchmarks.sizes import SizeBook, print_inbox
from benchmarks.webhooks import cpu_seconds
from mpanel_billing.database.migrations import migrate
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.retention.service import ages_of, prune
from tests.faults.town import Town, open_town, order_of
from tests.processes import ServiceProcess, running_api, running_worker
from tests.service import CREATE_SESSION, make_settings

_MONTH_SECONDS = 32 * 86_400
_PATIENCE_SECONDS = 80.0
_UNLIMITED = {"RATE_LIMIT_ORDERS": "off", "RATE_LIMIT_LOOKUPS": "off"}
_NOT_OURS = [
    "charge.succeeded",
    "customer.discount.created",
    "invoice.upcoming",
    "invoiceitem.created",
    "payment_intent.created",
    "payment_intent.succeeded",
    "payment_method.attached",
]
"""What the sandbox tells as well; an endpoint of ours at Stripe does not ask for it."""

_TYPES = "SELECT type AS name, count(*) AS count FROM stripe_events GROUP BY type"
_JOBS = """
SELECT entrypoint AS name, count(*) AS count
FROM pgqueuer_log
WHERE status = 'successful'
GROUP BY entrypoint
"""
_AGE = "UPDATE stripe_events SET received_at = received_at - interval '91 days'"

Thing = TypeVar("Thing")
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
    """Print what each stretch costs and leaves behind."""
    await migrate(postgres.url("bench"))
    async with open_town(postgres.url("bench")) as town:
        street = Street(postgres, town, buyers, at_once)
        await street.hear_of_the_catalogue()
        sizes = await SizeBook.open(town.pool)
        async with street.stretch("order"):
            sessions = await street.order_all()
        await sizes.print_growth("an order", buyers)
        async with street.stretch("purchase"):
            await street.buy_all(sessions)
        await sizes.print_growth("a purchase", buyers)
        async with street.stretch("renewal"):
            await street.pass_a_month()
        await sizes.print_growth("a renewal", buyers)
        await print_inbox(town.pool)
        await town.pool.execute(_AGE)
        await prune(town.pool, ages_of(make_settings()))
        await print_inbox(town.pool)


@dataclass
class Street:
    """The buyers, a few of them at once, and the processes that serve them."""

    postgres: EmbeddedPostgres
    town: Town
    buyers: int
    at_once: int

    @property
    def _url(self) -> str:
        return self.postgres.url("bench")

    async def hear_of_the_catalogue(self) -> None:
        """Take the events of setting up; from now on only those come that we ask Stripe for."""
        async with running_api(self._url, self.town.port, stripe_url=self.town.stripe_url):
            await self.town.stripe.wait_idle(_PATIENCE_SECONDS)
        await self.town.stripe.set_delivery(drop=_NOT_OURS)

    async def order_all(self) -> list[dict[str, Any]]:
        """Order; print how long an answer took, Stripe's part of it included."""
        timed = await self._each(range(self.buyers), self._order)
        _print_latencies("order answered", [seconds for seconds, _ in timed])
        return [answer for _, answer in timed]

    async def buy_all(self, answers: Sequence[dict[str, Any]]) -> None:
        """Pay; print how long after that the tenant was seen on the success page."""
        _print_latencies("active after payment", await self._each(answers, self._buy))
        await self.town.stripe.wait_idle(_PATIENCE_SECONDS)

    async def pass_a_month(self) -> None:
        """Have Stripe renew everything, and wait until all of it has been told."""
        await self.town.stripe.advance_time(await self.town.stripe.now() + _MONTH_SECONDS)
        await self.town.stripe.wait_idle(_PATIENCE_SECONDS)

    async def _order(self, number: int) -> tuple[float, dict[str, Any]]:
        started = time.perf_counter()
        answer = await self.town.insist("order", "POST", CREATE_SESSION, **order_of(number))
        return time.perf_counter() - started, answer

    async def _buy(self, answer: dict[str, Any]) -> float:
        paid = await self.town.stripe.pay(answer["url"])
        assert paid.status == 303, paid
        started = time.perf_counter()
        await self.town.follow(answer["sessionId"])
        return time.perf_counter() - started

    async def _each(
        self, things: Iterable[Thing], work: Callable[[Thing], Awaitable[Outcome]]
    ) -> list[Outcome]:
        places = asyncio.Semaphore(self.at_once)

        async def do(thing: Thing) -> Outcome:
            async with places:
                return await work(thing)

        return await asyncio.gather(*map(do, things))

    @asynccontextmanager
    async def stretch(self, name: str) -> AsyncIterator[None]:
        """Run web and worker for the block, and print what it has cost a buyer."""
        told, jobs = await self._count(_TYPES), await self._count(_JOBS)
        before = await read_meter(self.postgres, self._url)
        stripe = self.town.stripe_url
        async with (
            running_api(self._url, self.town.port, stripe_url=stripe, **_UNLIMITED) as web,
            running_worker(self._url, stripe_url=stripe) as worker,
        ):
            started = time.perf_counter(), _cpu(web), _cpu(worker)
            yield
            ended = time.perf_counter(), _cpu(web), _cpu(worker)
            await web.stop()
            await worker.stop()
        cost = cost_between(self.postgres, before, await read_meter(self.postgres, self._url))
        seconds, web_cpu, worker_cpu = (b - a for a, b in zip(started, ended, strict=True))
        print(
            f"{name}: {self.buyers} in {seconds:.1f} s; one took web "
            f"{web_cpu / self.buyers * 1000:.1f} ms CPU, worker "
            f"{worker_cpu / self.buyers * 1000:.1f} ms CPU, {cost.per(self.buyers)}"
        )
        self._print_counts("events", await self._count(_TYPES) - told)
        self._print_counts("jobs", await self._count(_JOBS) - jobs)

    async def _count(self, query: str) -> Counter[str]:
        rows = await self.town.pool.fetch(query)
        return Counter({row["name"]: row["count"] for row in rows})

    def _print_counts(self, what: str, counts: Counter[str]) -> None:
        each = ", ".join(f"{name} {n / self.buyers:.2f}" for name, n in sorted(counts.items()))
        print(f"  {counts.total() / self.buyers:.2f} {what}: {each or 'none'}")


def _cpu(service: ServiceProcess) -> float:
    return cpu_seconds(service.process.pid)


def _print_latencies(what: str, seconds: Sequence[float]) -> None:
    hundredths = statistics.quantiles(seconds, n=100)
    print(f"{what}: p50 {hundredths[49] * 1000:.0f} ms, p99 {hundredths[98] * 1000:.0f} ms")


if __name__ == "__main__":
    main()
