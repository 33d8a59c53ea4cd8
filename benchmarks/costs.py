"""What one event costs: latency, CPU of service and PostgreSQL, WAL bytes, fsyncs, commits.

Events and processes are those of `python -m benchmarks`; each concurrency gets a new web process.
PostgreSQL makes a checkpoint before each run, so every page touched goes into the WAL in full once:
the worst case for full-page images.

    python -m benchmarks.costs [--subscriptions 100000] [--events 3000]
"""

import argparse
import asyncio

import asyncpg

from benchmarks.postgres_cost import cost_between, read_counters
from benchmarks.servers import service
from benchmarks.webhooks import CONCURRENCIES, events, measure, prepared
from mpanel_billing.dev.postgres import EmbeddedPostgres


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.costs", description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=3000)
    options = parser.parse_args()
    with prepared(options.subscriptions) as (postgres, url):
        for run, concurrency in enumerate(CONCURRENCIES, start=1):
            bodies = events(options.events, options.subscriptions, run)
            _print_cost(postgres, url, bodies, concurrency)


def _print_cost(
    postgres: EmbeddedPostgres, url: str, bodies: list[bytes], concurrency: int
) -> None:
    asyncio.run(_checkpoint(url))
    before = asyncio.run(read_counters(postgres, url))
    with service(postgres, url) as target:
        figures = measure(target, bodies, concurrency)
    after = asyncio.run(read_counters(postgres, url))
    cost = cost_between(postgres, before, after)
    print(f"c={concurrency:<3} {figures}")
    print(f"      per event: {cost.per(len(bodies))}", flush=True)


async def _checkpoint(url: str) -> None:
    conn = await asyncpg.connect(url)
    await conn.execute("CHECKPOINT")
    await conn.close()


if __name__ == "__main__":
    main()
