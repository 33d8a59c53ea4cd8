"""Reads over HTTP next to their bare limits: a purchase's state, and the public catalogue.

Each runs as one web process on the same PostgreSQL, and they take turns. The bare limit of
`GET /api/checkout/session/:id` is an aiohttp handler that runs the same statement with asyncpg and
writes the row as JSON; that of the catalogue is one that sends the same bytes. Ours counts each
request against a rate limit and in its metrics, as in production. Rates of a busy machine say
little: the ratio of the CPU time is printed next to them.

    python -m benchmarks responses [--requests 4000] [--connections 16]

It exits with 1 if the CPU of a bare answer is less than LEAST of ours.
"""

import argparse
import asyncio
import json
import pickle
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from benchmarks.bare_reader import SELECT_PATH, SEND_PATH
from benchmarks.servers import (
    POOL_SIZE,
    Target,
    cpu_seconds,
    free_port,
    postgres_cpu,
    postmaster_of,
    server,
    web_process,
)
from benchmarks.webhooks import RUNS, Figures, prepared
from mpanel_billing.database.pool import create_pool
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.settings import DatabaseSettings
from tests.provisioning.bulk_sales import open_shop

LEAST = {"a purchase's state": 0.7, "the public catalogue": 0.8}
"""The smallest ratio of each: the bare answer's CPU in the web process to that of ours."""

_SUBSCRIPTIONS = 10_000
_SESSIONS = """
INSERT INTO checkout_sessions (subscription_id, attempt, stripe_session_id, livemode, params,
    status)
SELECT id, 1, 'cs_' || substr(stripe_subscription_id, 5), FALSE, '{}', 'complete'
FROM subscriptions
"""
_COUNTED = {"RATE_LIMIT_LOOKUPS": "999999/second"}
"""A limit that is not reached: without one, nothing would be counted."""

MakeRequest = Callable[[int], str]
"""Makes the path of a request's number."""


def session_path(number: int) -> str:
    name = f"cs_{number % _SUBSCRIPTIONS + 1:014}"
    return SELECT_PATH.format(session_id=name)


PATHS: dict[str, MakeRequest] = {
    "a purchase's state": session_path,
    "the public catalogue": lambda _: SEND_PATH,
}


def measure(target: Target, paths: Sequence[str], connections: int, key: str = "") -> Figures:
    """Send a GET of each path, with an API key if there is one; return what that took."""
    headers = f"Host: 127.0.0.1:{target.port}\r\n"
    if key:
        headers += f"Authorization: Bearer {key}\r\n"
    requests = [f"GET {path} HTTP/1.1\r\n{headers}\r\n".encode() for path in paths]
    with tempfile.NamedTemporaryFile() as file:
        file.write(pickle.dumps(requests))
        file.flush()
        before = cpu_seconds(target.pid), postgres_cpu(target.postmaster)
        command = [sys.executable, "-m", "benchmarks.load_generator", file.name]
        generator = subprocess.run(
            [*command, "127.0.0.1", str(target.port), str(connections)],
            check=True,
            capture_output=True,
            text=True,
        )
        after = cpu_seconds(target.pid), postgres_cpu(target.postmaster)
    load = json.loads(generator.stdout)
    web, postgres = ((b - a) / len(paths) * 1000 for a, b in zip(before, after, strict=True))
    return Figures(len(paths) / load["seconds"], load["p50"], load["p99"], web, postgres)


async def _fill(url: str) -> None:
    settings = DatabaseSettings(_env_file=None, database_url=url)  # type: ignore[call-arg]
    async with await create_pool(settings) as pool:
        await open_shop(pool, 0)
    conn = await asyncpg.connect(url)
    await conn.execute(_SESSIONS)
    await conn.execute("VACUUM ANALYZE")
    await conn.close()


@contextmanager
def ours_and_bare(postgres: EmbeddedPostgres, url: str) -> Iterator[tuple[Target, Target]]:
    """Run both web processes; the bare one sends the bytes that ours has sent."""
    postmaster = postmaster_of(postgres)
    environment = {"DATABASE_POOL_MAX": str(POOL_SIZE), "LOG_LEVEL": "warning", **_COUNTED}
    with (
        web_process(url, **environment) as (port, pid),
        tempfile.NamedTemporaryFile() as body,
    ):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{SEND_PATH}") as response:
            Path(body.name).write_bytes(response.read())
        bare_port = free_port()
        arguments = [url, str(bare_port), body.name, str(POOL_SIZE)]
        command = [sys.executable, "-m", "benchmarks.bare_reader", *arguments]
        with server(command, bare_port, {}) as bare_pid:
            yield Target(port, pid, postmaster), Target(bare_port, bare_pid, postmaster)


def compare(ours: Target, bare: Target, count: int, connections: int) -> bool:
    """Print both reads next to their limits; return whether both reach LEAST."""
    reached = True
    for name, path_of in PATHS.items():
        paths = [path_of(number) for number in range(count)]
        taken: dict[str, list[Figures]] = {"bare": [], "ours": []}
        for _ in range(1 + RUNS):
            taken["bare"].append(measure(bare, paths, connections))
            taken["ours"].append(measure(ours, paths, connections))
        medians = {who: Figures.median(figures[1:]) for who, figures in taken.items()}
        for who, median in medians.items():
            print(f"{name}, {who}: {median}", flush=True)
        cpu = medians["bare"].service_cpu / medians["ours"].service_cpu
        rate = medians["ours"].rate / medians["bare"].rate
        least = LEAST[name]
        print(f"{name}: {cpu:.2f} of the bare limit by CPU, {rate:.2f} by rate, at least {least}")
        reached = reached and cpu >= least
    return reached


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks responses", description=__doc__)
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--connections", type=int, default=16)
    options = parser.parse_args(arguments)
    with prepared(_SUBSCRIPTIONS) as (postgres, url):
        asyncio.run(_fill(url))
        with ours_and_bare(postgres, url) as (ours, bare):
            reached = compare(ours, bare, options.requests, options.connections)
    sys.exit(0 if reached else 1)
