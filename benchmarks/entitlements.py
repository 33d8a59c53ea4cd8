"""What a tenant may have, over HTTP: how long mPanel waits for it, among many tenants.

    python -m benchmarks entitlements [--tenants 100000] [--requests 5000]

Asks for tenants at random over one connection and over 16, and prints median and 99th percentile
in milliseconds and the CPU time of web process and PostgreSQL. It exits with 1 if the 99th
percentile over one connection is above MOST_MS.
"""

import argparse
import asyncio
import random
import sys
from collections.abc import Sequence

import asyncpg

from benchmarks.responses import measure
from benchmarks.servers import Target, postmaster_of, web_process
from benchmarks.webhooks import RUNS, Figures, prepared
from mpanel_billing.database.pool import create_pool
from mpanel_billing.settings import DatabaseSettings
from tests.provisioning.bulk_sales import open_shop

MOST_MS = 5.0

_KEY = "k" * 32
_PATH = "/api/billing/tenants/{id}/entitlements"
_TENANTS = """
INSERT INTO tenants (name, domain, status, billing_subscription_id)
SELECT email, id || '.example', 'active', s.subscription_id
FROM customers
JOIN (SELECT id AS subscription_id, customer_id FROM subscriptions) AS s ON s.customer_id = id
RETURNING id
"""


async def _fill(url: str) -> list[str]:
    """Give each subscription a tenant; return their ids."""
    settings = DatabaseSettings(_env_file=None, database_url=url)  # type: ignore[call-arg]
    async with await create_pool(settings) as pool:
        await open_shop(pool, 0)
    conn = await asyncpg.connect(url)
    rows = await conn.fetch(_TENANTS)
    await conn.execute("VACUUM ANALYZE")
    await conn.close()
    return [str(row["id"]) for row in rows]


def compare(target: Target, paths: Sequence[str]) -> bool:
    """Print what the requests take; return whether they are within their limit."""
    kept = True
    for connections in (1, 16):
        runs = [measure(target, paths, connections, key=_KEY) for _ in range(1 + RUNS)]
        taken = Figures.median(runs[1:])
        print(f"{connections:2} connections: {taken}", flush=True)
        kept = kept and (connections > 1 or taken.p99 <= MOST_MS)
    return kept


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks entitlements", description=__doc__)
    parser.add_argument("--tenants", type=int, default=100_000)
    parser.add_argument("--requests", type=int, default=5000)
    options = parser.parse_args(arguments)
    with prepared(options.tenants) as (postgres, url):
        tenants = asyncio.run(_fill(url))
        chosen = random.Random(1).choices(tenants, k=options.requests)
        with web_process(url, LOG_LEVEL="warning", BILLING_API_KEYS=_KEY) as (port, pid):
            target = Target(port, pid, postmaster_of(postgres))
            kept = compare(target, [_PATH.format(id=id_) for id_ in chosen])
    sys.exit(0 if kept else 1)
