"""What a purchase and a renewal cost: CPU, commits, fsyncs, questions to Stripe, runs, jobs.

One web process, one worker, PostgreSQL with fsync on, and the sandbox as Stripe, which sends its
webhooks one at a time: its CPU is not counted, its time is part of the latencies. Buyers order, a
few at a time; then they pay and poll the success page until two accounts are active (`log`
driver); then a month passes. Each phase starts new processes and ends when nothing is left to
do: what is asked of Stripe later belongs to it. The CPU of the first in each phase is not counted:
they load what a process loads once, and plan what a connection plans once.

A question to Stripe is counted at the sandbox. Of the web process it is part of a buyer's request;
of the worker it is a refetch if it gets a single object.

    python -m benchmarks purchase [--buyers 200] [--at-once 4] [--statements]
"""

import argparse
import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import asyncpg

from benchmarks.checkout import UNLIMITED, CheckoutRun, cpu_of
from benchmarks.postgres_cost import Reading, read_counters
from benchmarks.servers import postgres_cpu, postmaster_of, scratch_folder
from mpanel_billing.database.migrations import migrate
from mpanel_billing.database.queries import Connection
from mpanel_billing.dev.postgres import EmbeddedPostgres
from tests.faults.deployment import open_deployment, polling
from tests.processes import ServiceProcess, running_api, running_worker

WARM_UP = 40
SANDBOX = ("-m", "benchmarks.counting_sandbox")
_WORKER_KEY = "sk_test_of_the_worker"
_SETTLED = """
SELECT NOT EXISTS (SELECT 1 FROM provisioning_work WHERE version > done_version)
    AND NOT EXISTS (SELECT 1 FROM stripe_refetches WHERE reason <> 'awaited')
    AND NOT EXISTS (SELECT 1 FROM pgqueuer)
"""
_CHANNELS = ("ch_pgqueuer", "billing_subscription", "billing_catalogue")
_STATEMENTS = """
SELECT
    calls::float8 / $1 AS calls,
    total_exec_time / $1 AS ms,
    (SELECT rolname FROM pg_roles WHERE oid = userid) AS role,
    left(regexp_replace(query, '\\s+', ' ', 'g'), 110) AS query
FROM pg_stat_statements
WHERE calls >= $1 / 4
ORDER BY total_exec_time DESC
LIMIT 45
"""


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks purchase", description=__doc__)
    parser.add_argument("--buyers", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--statements", action="store_true", help="with pg_stat_statements")
    options = parser.parse_args(arguments)
    with scratch_folder() as folder, EmbeddedPostgres(folder / "postgres") as postgres:
        if options.statements:
            count_statements(postgres)
        postgres.create_database("bench")
        asyncio.run(measure(postgres, options.buyers, options.at_once, options.statements))


def count_statements(postgres: EmbeddedPostgres) -> None:
    """Restart the server with pg_stat_statements."""
    configuration = postgres.data_dir / "postgresql.auto.conf"
    with configuration.open("a") as more:
        more.write("shared_preload_libraries = 'pg_stat_statements'\n")
    postgres.stop()
    postgres.start()


async def measure(
    postgres: EmbeddedPostgres, buyers: int, at_once: int, statements: bool = False
) -> None:
    """Print what each phase costs."""
    url = postgres.url("bench")
    await migrate(url)
    async with open_deployment(url, sandbox=SANDBOX) as deployment:
        run = CheckoutRun(postgres, deployment, buyers, at_once)
        first = CheckoutRun(postgres, deployment, WARM_UP, at_once, first=buyers)
        measured = MeasuredPhases(run, statements=statements)
        await run.deliver_setup_events()
        # of the catalogue that was just put on sale: the sweep would run every subscription again
        await deployment.pool.execute("DELETE FROM catalogue_edits")
        earlier: list[dict[str, Any]] = []

        async def order_first() -> None:
            earlier.extend(await first.order_all())

        everybody = buyers + WARM_UP
        async with measured.phase("order", order_first, buyers, everybody):
            sessions = await run.order_all()
        async with measured.phase("purchase", lambda: first.pay_all(earlier), buyers, everybody):
            await run.pay_all(sessions)
        async with measured.phase("renewal", run.renew_all, everybody, 2 * everybody):
            await run.renew_all()


class MeasuredPhases:
    """Runs phases of a CheckoutRun and prints what one of each costs."""

    def __init__(self, run: CheckoutRun, *, statements: bool) -> None:
        self._run = run
        self._statements = statements
        self._url = run.postgres.url("bench")
        self._stripe = run.deployment.stripe_url

    @asynccontextmanager
    async def phase(
        self, name: str, warm_up: Callable[[], Awaitable[None]], measured: int, all_of_it: int
    ) -> AsyncIterator[None]:
        """Run a web process and a worker for the block, and print what one of the phase costs.

        CPU is that of the block, which does it `measured` times; what is exact is counted from the
        start of the processes, and so of `all_of_it`.
        """
        conn = await asyncpg.connect(self._url)
        if self._statements:
            await conn.execute("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        asked, jobs = await self._asked(), await _jobs(conn)
        notified = await _listen(conn)
        before = await read_counters(self._run.postgres, self._url)
        async with self._processes() as (web, worker):
            await warm_up()
            await self._settled(conn)
            started = self._cpu(web, worker)
            if self._statements:
                await conn.execute("SELECT pg_stat_statements_reset()")
            yield
            await self._settled(conn)
            ended = self._cpu(web, worker)
            runs = Counter(line_kind(line) for line in worker.lines)
            await web.stop()
            await worker.stop()
        after = await read_counters(self._run.postgres, self._url)
        cpu = [(b - a) / measured * 1000 for a, b in zip(started, ended, strict=True)]
        _print(name, cpu, before, after, all_of_it)
        _print_counts("questions", self._by_asker(await self._asked() - asked), all_of_it)
        _print_counts("jobs", await _jobs(conn) - jobs, all_of_it)
        _print_counts("runs", Counter({k: v for k, v in runs.items() if k}), all_of_it)
        _print_counts("notifications", notified, all_of_it)
        if self._statements:
            await print_statements(conn, measured)
        await conn.close()

    def _cpu(self, web: ServiceProcess, worker: ServiceProcess) -> tuple[float, float, float]:
        return cpu_of(web), cpu_of(worker), postgres_cpu(postmaster_of(self._run.postgres))

    @asynccontextmanager
    async def _processes(self) -> AsyncIterator[tuple[ServiceProcess, ServiceProcess]]:
        port = self._run.deployment.port
        async with (
            running_api(self._url, port, stripe_url=self._stripe, **UNLIMITED) as web,
            running_worker(
                self._url, stripe_url=self._stripe, STRIPE_SECRET_KEY=_WORKER_KEY
            ) as worker,
        ):
            yield web, worker

    async def _settled(self, conn: Connection) -> None:
        async for _ in polling(120):
            if await conn.fetchval(_SETTLED):
                return
        raise SystemExit("the work does not end")

    async def _asked(self) -> Counter[str]:
        return await count_requests(self._stripe)

    def _by_asker(self, asked: Counter[str]) -> Counter[str]:
        found: Counter[str] = Counter()
        for question, count in asked.items():
            key, what = question.split(" ", 1)
            is_refetch = what.startswith("GET") and what.endswith("/:id")
            asker = "web" if key != _WORKER_KEY else "refetch" if is_refetch else "worker"
            found[f"{asker} {what.removesuffix('/:id')}"] += count
        return found


def _print(name: str, cpu: Sequence[float], before: Reading, after: Reading, count: int) -> None:
    web, worker, server = cpu
    print(
        f"{name}: CPU {sum(cpu):.1f} ms = web {web:.1f} + worker {worker:.1f} + "
        f"PostgreSQL {server:.1f}; {(after.fsyncs - before.fsyncs) / count:.1f} fsyncs, "
        f"{(after.commits - before.commits) / count:.1f} commits, "
        f"WAL {(after.wal_bytes - before.wal_bytes) / count / 1000:.0f} KB",
        flush=True,
    )


def _print_counts(what: str, counts: Counter[str], of: int) -> None:
    each = ", ".join(f"{n / of:.2f} {name}" for name, n in sorted(counts.items()))
    print(f"  {counts.total() / of:.2f} {what}: {each or 'none'}", flush=True)


async def count_requests(stripe_url: str) -> Counter[str]:
    """Return what the counting sandbox has been asked: by secret key, method and resource."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{stripe_url}/requests") as response,
    ):
        return Counter(await response.json())


def line_kind(line: str) -> str | None:
    """Return which job a line of the worker's log reports as done; None: another line."""
    found = line.partition(' done"')[0].rpartition('"')[2]
    return found if found in {"provision", "refetch", "retry_event"} else None


async def _jobs(conn: Connection) -> Counter[str]:
    rows = await conn.fetch(
        "SELECT entrypoint || ' ' || status AS name, count(*) FROM pgqueuer_log GROUP BY 1"
    )
    return Counter({row["name"]: row["count"] for row in rows})


async def _listen(conn: Connection) -> Counter[str]:
    """Count notifications by channel, of the queue by kind, until the connection closes."""
    counts: Counter[str] = Counter()
    for channel in _CHANNELS:
        await conn.add_listener(channel, lambda *_, channel=channel: counts.update([channel]))
    return counts


async def print_statements(conn: Connection, buyers: int) -> None:
    """Print what has run since the last reset, the most expensive first."""
    for row in await conn.fetch(_STATEMENTS, float(buyers)):
        print(f"    {row['calls']:6.2f} x {row['ms']:7.3f} ms  {row['query']}")
