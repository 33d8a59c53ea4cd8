"""How long it takes until every subscription of a burst of sales is active.

Two worker processes, a hosting service over HTTP that takes 100 ms per command, and all jobs
enqueued at once. With n concurrent commands (over both workers) the hosting service alone needs
0.1 s x count / n; the limit is 1.3 times that. The clock starts when the burst is committed, with
idle workers, and stops when the last subscription becomes active, both by PostgreSQL's clock.

    python -m benchmarks provisioning [--subscriptions 1000] [--concurrency 5 10 20] [--runs 1]
"""

import argparse
import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks.servers import cpu_seconds, postgres_cpu, postmaster_of, scratch_folder
from mpanel_billing.database.migrations import migrate
from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.settings import DatabaseSettings
from tests.processes import ServiceProcess, running_worker
from tests.provisioning.bulk_sales import open_shop, sell_at_once

WORKERS = 2
COMMAND_SECONDS = 0.1
ALLOWANCE = 1.3
_PATIENCE_SECONDS = 80.0

_LATEST = """
SELECT
    count(*) FILTER (WHERE status = 'active') AS active,
    extract(epoch FROM max(updated_at) - $1::timestamptz)::float8 AS seconds
FROM subscriptions
"""


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks provisioning", description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--runs", type=int, default=1)
    options = parser.parse_args(arguments)
    with scratch_folder() as folder, EmbeddedPostgres(folder / "postgres") as postgres:
        for concurrency in options.concurrency:
            for run in range(options.runs):
                name = f"burst_{concurrency}_{run}"
                asyncio.run(measure(postgres, name, options.subscriptions, concurrency))


async def measure(postgres: EmbeddedPostgres, name: str, count: int, concurrency: int) -> None:
    """Print how long one burst takes, with `concurrency` commands at once in each worker."""
    async with (
        slow_service() as address,
        shop(postgres, name, count) as pool,
        workers(postgres.url(name), address, concurrency) as processes,
    ):
        pids = [worker.process.pid for worker in processes]
        postmaster = postmaster_of(postgres)
        before = sum(map(cpu_seconds, pids)), postgres_cpu(postmaster)
        await sell_at_once(pool, count)
        sold = postgres_cpu(postmaster)
        seconds = await seconds_until_active(pool, count)
        after = sum(map(cpu_seconds, pids)), postgres_cpu(postmaster)
    ideal = COMMAND_SECONDS * count / (concurrency * WORKERS)
    print(
        f"{count:,} subscriptions, {WORKERS} workers x {concurrency:>2} commands: {seconds:6.2f} s "
        f"(limit {ideal * ALLOWANCE:5.2f} s, the hosting service alone {ideal:5.2f} s; "
        f"{'ok' if seconds <= ideal * ALLOWANCE else 'TOO SLOW'}); CPU per subscription: "
        f"workers {(after[0] - before[0]) / count * 1000:.1f} ms, "
        f"PostgreSQL {(after[1] - sold) / count * 1000:.1f} ms",
        flush=True,
    )


@asynccontextmanager
async def shop(postgres: EmbeddedPostgres, name: str, buyers: int) -> AsyncIterator[Pool]:
    """Create a database with the catalogue and the buyers."""
    postgres.create_database(name)
    url = postgres.url(name)
    await migrate(url)
    settings = DatabaseSettings(_env_file=None, database_url=url)
    async with await create_pool(settings) as pool:
        await open_shop(pool, buyers)
        yield pool


@asynccontextmanager
async def slow_service() -> AsyncIterator[str]:
    """Accept every command after a delay, using little CPU: it would run on another machine."""
    numbers = itertools.count(1)

    async def accept(request: web.Request) -> web.Response:
        await request.read()
        await asyncio.sleep(COMMAND_SECONDS)
        return web.json_response({"externalRef": f"account-{next(numbers)}"})

    app = web.Application()
    app.router.add_post("/v1/orders", accept)
    async with TestServer(app) as server:
        yield str(server.make_url("/v1"))


@asynccontextmanager
async def workers(url: str, address: str, concurrency: int) -> AsyncIterator[list[ServiceProcess]]:
    """Run the worker processes; they start idle."""
    hosting = {"url": address, "token": "t", "secret": "s", "concurrency": concurrency}
    environment = {"PROVISIONING_SERVICES": json.dumps({"hosting": hosting})}
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(running_worker(url, **environment))
            for _ in range(WORKERS)
        ]


async def seconds_until_active(pool: Pool, count: int) -> float:
    """Wait until all are active; return the seconds from their sale to the last one."""
    sold_at = await pool.fetchval("SELECT max(created_at) FROM provisioning_work")
    committed = await pool.fetchval("SELECT clock_timestamp()")
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while True:
            row = await pool.fetchrow(_LATEST, committed)
            assert row is not None
            if row["active"] == count:
                assert sold_at <= committed
                seconds: float = row["seconds"]
                return seconds
            await asyncio.sleep(0.05)
