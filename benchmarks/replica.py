"""A web process on a streaming standby: what it answers there, and how far behind it is.

The primary gets webhooks all the while, so the lag is that of a busy server; both share this
machine's cores.
"""

import asyncio
import json
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from benchmarks.webhooks import SECRET, events, free_port, measure, prepare, server, service
from mpanel_billing.access.actor import command_line_actor
from mpanel_billing.access.keys import create_key
from mpanel_billing.database.pool import create_pool
from mpanel_billing.settings import DatabaseSettings
from tests.faults.pair import Pair, running_pair
from tests.faults.town import order_of
from tests.processes import SERVICE
from tests.provisioning.burst import open_shop
from tests.service import CREATE_SESSION

_SUBSCRIPTIONS = 20_000
_EVENTS = 3_000
_CONCURRENCY = 16
_KEY = "key-of-the-benchmark-only"

_ASKED = (
    "/api/public/plans",
    "/api/marketing-api/products/catalog",
    "/api/health/ready",
    "/api/health",
)
_ASKED_WITH_KEY = ("/api/admin/events", "/api/admin/provisioning")
_VIEWS = ("billing_overview", "billing_trouble", "billing_mrr")


async def try_replica(folder: Path) -> None:
    """Print what a web process on the standby answers, and the lag under load."""
    with running_pair(folder) as pair:
        stored_key = await _fill(pair)
        await pair.replicate()
        await _let_commits_go_alone(pair)
        with reader(pair.standby.url("bench")) as port:
            await asyncio.to_thread(_print_answers, port, stored_key)
        await _print_views(pair)
        await _print_lag(pair)


async def _fill(pair: Pair) -> str:
    """Make a database with subscriptions and a catalogue; answer a key that is stored in it."""
    pair.primary.create_database("bench")
    url = pair.primary.url("bench")
    await prepare(url, _SUBSCRIPTIONS)
    settings = DatabaseSettings(_env_file=None, database_url=url)  # type: ignore[call-arg]
    async with await create_pool(settings) as pool:
        await open_shop(pool, 0)
        issued = await create_key(pool, command_line_actor(), name="reader", scopes=["admin:read"])
    return issued.text


async def _let_commits_go_alone(pair: Pair) -> None:
    """Wait for the standby no longer: readers may be behind, buyers must not wait for them."""
    conn = await asyncpg.connect(pair.primary.url("postgres"))
    await conn.execute("ALTER SYSTEM RESET synchronous_standby_names")
    await conn.execute("SELECT pg_reload_conf()")
    await conn.close()


@contextmanager
def reader(url: str) -> Iterator[int]:
    """Run a web process on that database; yields its port."""
    port = free_port()
    environment = {
        "DATABASE_URL": url,
        "STRIPE_SECRET_KEY": "sk_test_benchmark",
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "APP_URL": "http://localhost",
        "ADMIN_API_KEYS": _KEY,
        "PORT": str(port),
        "LOG_LEVEL": "error",
    }
    with server([*SERVICE, "serve"], port, environment):
        yield port


def _print_answers(port: int, stored_key: str) -> None:
    for path in _ASKED:
        print(f"GET {path}: {_ask(port, path)}")
    for path in _ASKED_WITH_KEY:
        print(f"GET {path}, a key of the settings: {_ask(port, path, key=_KEY)}")
    print(f"GET {path}, a key of the database: {_ask(port, path, key=stored_key)}")
    order = json.dumps(order_of(1)["json"]).encode()
    print(f"POST {CREATE_SESSION}: {_ask(port, CREATE_SESSION, body=order)}")


def _ask(port: int, path: str, *, key: str | None = None, body: bytes | None = None) -> str:
    """Get, or with a body post; answer with the status, and with what is said to a refusal."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if body:
        headers["Content-Type"] = "application/json"
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return f"{answer.status}, {len(answer.read()):,} bytes"
    except urllib.error.HTTPError as error:
        return f"{error.code}, {error.read().decode()}"


async def _print_views(pair: Pair) -> None:
    conn = await asyncpg.connect(pair.standby.url("bench"))
    for view in _VIEWS:
        began = time.perf_counter()
        rows = await conn.fetch(f"SELECT * FROM {view}")
        print(f"{view} on the standby: {len(rows):,} rows in {time.perf_counter() - began:.2f} s")
    await conn.close()


async def _print_lag(pair: Pair) -> None:
    with service(pair.primary, pair.primary.url("bench")) as target:
        bodies = events(_EVENTS, _SUBSCRIPTIONS, 1)
        load = asyncio.create_task(asyncio.to_thread(measure, target, bodies, _CONCURRENCY))
        lags = await _sample_lags(pair, load)
        figures = await load
    hundredths = statistics.quantiles(lags, n=100)
    print(
        f"under {figures.rate:,.0f} events/s a write is readable on the standby after "
        f"p50 {hundredths[49]:.1f} ms, p99 {hundredths[98]:.1f} ms ({len(lags)} samples)"
    )


async def _sample_lags(pair: Pair, load: "asyncio.Task[object]") -> list[float]:
    """Look how long the standby takes to replay what the primary has just written, in ms."""
    primary = await asyncpg.connect(pair.primary.url("bench"))
    standby = await asyncpg.connect(pair.standby.url("bench"))
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
