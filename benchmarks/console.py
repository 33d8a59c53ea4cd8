"""The console's pages over HTTP: how large they are, and how long the server takes for them.

    python -m benchmarks console [--subscriptions 100000] [--seed 1] [--folder FOLDER]

Makes customers with faults planted by the seed (benchmarks/people.sql), then opens each page and
each search one after the other, and prints the median time until it is there, the CPU time of web
process and PostgreSQL, and the bytes of its HTML. It exits with 1 for a page above MOST_BYTES or
MOST_MS, for a search above MOST_MS_OF_FIND, or if a large table was read whole. With --folder the
rows stay there for the next time.
"""

import argparse
import asyncio
import http.client
import re
import statistics
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg

from benchmarks.many_rows import kept_or_scratch, prepare
from benchmarks.servers import Target, cpu_seconds, postgres_cpu, postmaster_of, web_process
from mpanel_billing.dev.postgres import EmbeddedPostgres

MOST_BYTES = 60_000
MOST_MS = 100.0
MOST_MS_OF_FIND = 50.0

_RUNS = 15
_KEY = "k" * 32
_LARGE_ROWS = 20_000
"""A smaller table may be read whole: that takes milliseconds, however many customers there are."""

PLACES = """
SELECT
    s.id AS subscription,
    s.customer_id AS customer,
    c.name,
    c.email,
    t.domain,
    i.id AS invoice,
    i.stripe_number AS number,
    s.stripe_customer_id AS stripe_id,
    large.customer_id AS large_customer,
    (SELECT price_id FROM subscription_items WHERE price_id IS NOT NULL LIMIT 1) AS price,
    (SELECT id FROM stripe_events WHERE status = 'failed' ORDER BY received_at LIMIT 1) AS event,
    (
        SELECT v.subscription_id FROM tenant_services AS v WHERE v.last_error IS NOT NULL LIMIT 1
    ) AS broken
FROM subscriptions AS s
JOIN customers AS c ON c.id = s.customer_id
JOIN tenants AS t ON t.id = s.tenant_id
JOIN invoices AS i ON i.stripe_invoice_id = 'in_' || $1::integer || '_3'
JOIN subscriptions AS large ON large.stripe_subscription_id = 'sub_1'
WHERE s.stripe_subscription_id = 'sub_' || $1::integer
"""
"""What the pages are about: a subscription by its number."""
_READ_WHOLE = """
SELECT relname, seq_scan
FROM pg_stat_user_tables
WHERE schemaname = current_schema()
  AND n_live_tup >= $1
  -- monitoring counts all events while that is 16 MB at most
  AND (relname <> 'stripe_events' OR pg_table_size(relid) > 16 * 1024 * 1024)
"""


@dataclass(frozen=True)
class Opened:
    """What a page took: milliseconds and bytes."""

    took: float
    web: float
    postgres: float
    size: int


class Visitor:
    """Somebody who is signed in, over one connection."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._connection = http.client.HTTPConnection("127.0.0.1", target.port, timeout=60)
        self._cookie = ""

    def sign_in(self) -> None:
        form = urlencode({"person": "ada", "key": _KEY})
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request("POST", "/console/sign-in", form, headers)
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status == HTTPStatus.SEE_OTHER, answer.status
        self._cookie = answer.headers["Set-Cookie"].partition(";")[0]

    def open(self, path: str) -> Opened:
        """Open a page several times; return the medians, after a first time that does not count."""
        self._get(path)
        web, postgres = cpu_seconds(self._target.pid), postgres_cpu(self._target.postmaster)
        took, size = [], 0
        for _ in range(_RUNS):
            began = time.perf_counter()
            size = len(self._get(path))
            took.append((time.perf_counter() - began) * 1000)
        web = (cpu_seconds(self._target.pid) - web) / _RUNS * 1000
        postgres = (postgres_cpu(self._target.postmaster) - postgres) / _RUNS * 1000
        return Opened(statistics.median(took), web, postgres, size)

    def _get(self, path: str) -> bytes:
        self._connection.request("GET", path, headers={"Cookie": self._cookie})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != HTTPStatus.OK:
            text = re.sub(r"<[^>]+>", " ", body.decode())
            raise SystemExit(f"{path}: {answer.status} {' '.join(text.split())[-400:]}")
        return body


def pages(places: Mapping[str, Any]) -> Iterator[str]:
    """Yield the address of each page that needs nothing of Stripe."""
    yield f"/console/customers/{places['customer']}"
    for listed in ("", "/disputes", "/invoices", "/invoices?status=open", "/subscriptions"):
        yield f"/console/customers/{places['large_customer']}{listed}"
    for subscription in (places["subscription"], places["broken"]):
        yield f"/console/subscriptions/{subscription}"
    for action in ("retry", "suspend", "cancel"):
        yield f"/console/subscriptions/{places['broken']}/{action}"
    yield f"/console/subscriptions/{places['subscription']}/invoices"
    yield f"/console/invoices/{places['invoice']}"
    for page in ("trouble", "watch", "debtors", "trials", "disputes", "disputes?all=1"):
        yield f"/console/{page}"
    for status in ("failed", "applied", "received"):
        yield f"/console/events?status={status}"
    yield f"/console/events/{places['event']}"
    for state in ("given_up", "waiting", "delivered"):
        yield f"/console/deliveries?state={state}"
    for period in ("month", "week", "day"):
        yield f"/console/figures?by={period}"
    yield "/console/figures/products"
    yield f"/console/catalogue/prices/{places['price']}"
    for page in (
        "domains",
        "domains?list=expiring",
        "domains?list=latest",
        "servers",
        "events/replay-failed",
        "reconcile",
        "coupons",
        "merges",
        "audit",
    ):
        yield f"/console/{page}"
    yield "/console/audit?person=nobody"
    for page in ("catalogue", "keys", "health", "sessions", "preferences"):
        yield f"/console/{page}"


def searches(places: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is searched for: the most certain first, then words that many have."""
    for name in ("stripe_id", "email", "domain", "subscription", "name"):
        yield str(places[name])
    first, last = places["name"].split()
    yield f"{first[:3]} {last[:3]}"
    yield last
    yield first[:2]
    yield "example.com"


def measure(target: Target, places: Mapping[str, Any]) -> bool:
    """Print what each page and each search takes; return whether all are within their limits."""
    visitor = Visitor(target)
    visitor.sign_in()
    kept = [_print(path, visitor.open(path), MOST_MS) for path in pages(places)]
    for text in searches(places):
        opened = visitor.open(f"/console/find?q={quote(text)}")
        kept.append(_print(f"find {text}", opened, MOST_MS_OF_FIND))
    return all(kept)


def _print(name: str, opened: Opened, most_ms: float) -> bool:
    kept = opened.took <= most_ms and opened.size <= MOST_BYTES
    shown = re.sub(r"([0-9a-f]{8})-[0-9a-f-]{27}", r"\1...", name)
    print(
        f"{'ok  ' if kept else 'FAIL'} {shown[:60]:<60} {opened.took:7.1f} of {most_ms:.0f} ms,"
        f" CPU {opened.web:5.1f} + {opened.postgres:6.1f} ms, {opened.size / 1000:5.1f} KB",
        flush=True,
    )
    return kept


async def _find_places(url: str, number: int) -> Mapping[str, Any]:
    conn = await asyncpg.connect(url)
    places = await conn.fetchrow(PLACES, number, timeout=600)
    await conn.close()
    assert places
    return dict(places)


async def _read_whole(url: str, rows_at_least: int) -> Mapping[str, int]:
    """Return how often each table was read whole so far, by those who have disconnected."""
    conn = await asyncpg.connect(url)
    rows = await conn.fetch(_READ_WHOLE, rows_at_least)
    await conn.close()
    return {row["relname"]: row["seq_scan"] for row in rows}


def run(postgres: EmbeddedPostgres, subscriptions: int, seed: int) -> bool:
    """Measure on rows that are made for it; return whether all is within its limits."""
    url = asyncio.run(prepare(postgres, subscriptions, seed=seed))
    places = asyncio.run(_find_places(url, subscriptions - 1))
    before = asyncio.run(_read_whole(url, 0))
    with web_process(
        url, LOG_LEVEL="warning", CONSOLE="on", ADMIN_API_KEYS=_KEY, BILLING_API_KEYS=_KEY
    ) as (port, pid):
        kept = measure(Target(port, pid, postmaster_of(postgres)), places)
    after = asyncio.run(_read_whole(url, _LARGE_ROWS))
    whole = sorted(table for table, scans in after.items() if scans > before[table])
    print(f"{'FAIL' if whole else 'ok  '} read whole: {', '.join(whole) or 'no large table'}")
    return kept and not whole


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks console", description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1, help="chooses who gets which fault")
    parser.add_argument("--folder", type=Path, help="keeps the rows for the next time")
    options = parser.parse_args(arguments)
    with (
        kept_or_scratch(options.folder) as folder,
        EmbeddedPostgres(folder / "postgres") as postgres,
    ):
        kept = run(postgres, options.subscriptions, options.seed)
    sys.exit(0 if kept else 1)
