"""What one event costs: latency, CPU of service and PostgreSQL, WAL bytes, fsyncs, commits.

The events and the processes are those of `python -m benchmarks`; each concurrency gets a web
process of its own. PostgreSQL made a checkpoint before each run, so that every page that is touched
is written to the WAL in full once: the most that page images can cost.

    python -m benchmarks.costs [--subscriptions 100000] [--events 3000]
"""

import argparse
import asyncio

import asyncpg

from benchmarks.meter import cost_between, read_meter
from benchmarks.webhooks import CONCURRENCIES, events, measure, prepared, service
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
    before = asyncio.run(read_meter(postgres, url))
    with service(postgres, url) as target:
        figures = measure(target, bodies, concurrency)
    after = asyncio.run(read_meter(postgres, url))
    cost = cost_between(postgres, before, after)
    print(f"c={concurrency:<3} {figures}")
    print(f"      an event: {cost.per(len(bodies))}", flush=True)


async def _checkpoint(url: str) -> None:
    conn = await asyncpg.connect(url)
    await conn.execute("CHECKPOINT")
    await conn.close()


if __name__ == "__main__":
    main()
