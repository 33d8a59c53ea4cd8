"""A web process on a streaming standby: its responses, and how far it lags.

The primary receives webhooks meanwhile, so the lag is that of a busy server; both share this
machine's cores.
"""

import asyncio
import json
import statistics
import time
import urllib.error
import urllib.request
from pathlib import Path

import asyncpg

from benchmarks.servers import service, web_process
from benchmarks.webhooks import events, measure, prepare
from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.access.keys import create_key
from mpanel_billing.database.pool import create_pool
from mpanel_billing.settings import DatabaseSettings
from tests.faults.deployment import order_of
from tests.faults.replicated_postgres import ReplicatedPostgres, running_replicated_postgres
from tests.provisioning.bulk_sales import open_shop
from tests.service import CREATE_SESSION

_SUBSCRIPTIONS = 20_000
_EVENTS = 3_000
_CONCURRENCY = 16
_KEY = "key-of-the-benchmark-only"

_PATHS = (
    "/api/public/plans",
    "/api/marketing-api/products/catalog",
    "/api/health/ready",
    "/api/health",
)
_ADMIN_PATHS = ("/api/admin/events", "/api/admin/provisioning")
_VIEWS = ("billing_overview", "billing_trouble", "billing_mrr")


async def try_replica(folder: Path) -> None:
    """Print the responses of a web process on the standby, and its lag under load."""
    with running_replicated_postgres(folder) as replicated:
        stored_key = await _fill(replicated)
        await replicated.replicate()
        await _stop_waiting_for_standby(replicated)
        url = replicated.standby.url("bench")
        with web_process(url, ADMIN_API_KEYS=_KEY, LOG_LEVEL="error") as (port, _):
            await asyncio.to_thread(_print_responses, port, stored_key)
        await _print_views(replicated)
        await _print_lag(replicated)


async def _fill(replicated: ReplicatedPostgres) -> str:
    """Create a database with subscriptions and a catalogue; return a key stored in it."""
    replicated.primary.create_database("bench")
    url = replicated.primary.url("bench")
    await prepare(url, _SUBSCRIPTIONS)
    settings = DatabaseSettings(_env_file=None, database_url=url)  # type: ignore[call-arg]
    async with await create_pool(settings) as pool:
        await open_shop(pool, 0)
        issued = await create_key(pool, command_line_actor(), name="reader", scopes=["admin:read"])
    return issued.text


async def _stop_waiting_for_standby(replicated: ReplicatedPostgres) -> None:
    """Make replication asynchronous: readers may lag, buyers must not wait for them."""
    conn = await asyncpg.connect(replicated.primary.url("postgres"))
    await conn.execute("ALTER SYSTEM RESET synchronous_standby_names")
    await conn.execute("SELECT pg_reload_conf()")
    await conn.close()


def _print_responses(port: int, stored_key: str) -> None:
    for path in _PATHS:
        print(f"GET {path}: {_request(port, path)}")
    for path in _ADMIN_PATHS:
        print(f"GET {path}, with a key from the settings: {_request(port, path, key=_KEY)}")
    print(f"GET {path}, with a key from the database: {_request(port, path, key=stored_key)}")
    order = json.dumps(order_of(1)["json"]).encode()
    print(f"POST {CREATE_SESSION}: {_request(port, CREATE_SESSION, body=order)}")


def _request(port: int, path: str, *, key: str | None = None, body: bytes | None = None) -> str:
    """GET, or POST with a body; return the status, and the body of an error."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if body:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return f"{response.status}, {len(response.read()):,} bytes"
    except urllib.error.HTTPError as error:
        return f"{error.code}, {error.read().decode()}"


async def _print_views(replicated: ReplicatedPostgres) -> None:
    conn = await asyncpg.connect(replicated.standby.url("bench"))
    for view in _VIEWS:
        began = time.perf_counter()
        rows = await conn.fetch(f"SELECT * FROM {view}")
        print(f"{view} on the standby: {len(rows):,} rows in {time.perf_counter() - began:.2f} s")
    await conn.close()


async def _print_lag(replicated: ReplicatedPostgres) -> None:
    with service(replicated.primary, replicated.primary.url("bench")) as target:
        bodies = events(_EVENTS, _SUBSCRIPTIONS, 1)
        load = asyncio.create_task(asyncio.to_thread(measure, target, bodies, _CONCURRENCY))
        lags = await _sample_lags(replicated, load)
        figures = await load
    hundredths = statistics.quantiles(lags, n=100)
    print(
        f"under {figures.rate:,.0f} events/s a write is readable on the standby after "
        f"p50 {hundredths[49]:.1f} ms, p99 {hundredths[98]:.1f} ms ({len(lags)} samples)"
    )


async def _sample_lags(replicated: ReplicatedPostgres, load: "asyncio.Task[object]") -> list[float]:
    """Measure how many ms the standby takes to replay what the primary has just written."""
    primary = await asyncpg.connect(replicated.primary.url("bench"))
    standby = await asyncpg.connect(replicated.standby.url("bench"))
    lags = []
    while not load.done():
        lsn = await primary.fetchval("SELECT pg_current_wal_flush_lsn()::text")
        began = time.perf_counter()
        while not await standby.fetchval(
            "SELECT pg_last_wal_replay_lsn() >= $1::text::pg_lsn", lsn
        ):
            pass
        lags.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.005)
    await primary.close()
    await standby.close()
    return lags
