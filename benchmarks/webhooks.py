"""Webhook throughput: events/s, latency and CPU of the service, compared with the bare limit.

Both run as one web process on one PostgreSQL with fsync on, with the same pool size and the same
bodies of 6 to 8 KB: half `customer.subscription.updated`, half `invoice.paid`, each about a
different subscription. They alternate, one warm-up and then RUNS runs each, so that a machine that
slows down favours neither; every figure is the median of its runs.

PostgreSQL has the settings of a dedicated machine and is measured in the steady state between two
checkpoints: the database fits in memory, its pages have been written since the last checkpoint (no
full-page images), and the WAL segments exist already, as on a server that has run for a while;
creating one stalls every commit for tens of milliseconds. With --scale most pages have not been
written before, so images are switched off. `python -m benchmarks.costs` measures what default
settings and a checkpoint just before add to an event.

    python -m benchmarks [--subscriptions 100000] [--events 6000]
    python -m benchmarks --scale    # the service alone, with 10,000 and 1,000,000 subscriptions
    python -m benchmarks --scale --scales 10000,10000000    # on demand: 39 GB of disk
"""

import argparse
import asyncio
import itertools
import json
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TypeVar

import asyncpg

from benchmarks import streams
from benchmarks.many_rows import run, run_script, without_indexes
from benchmarks.servers import (
    SECRET,
    Target,
    bare_receiver,
    cpu_seconds,
    postgres_cpu,
    scratch_folder,
    service,
)
from mpanel_billing.database.migrations import migrate
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.resources import ROOT
from tests import stripe_objects as made

CONCURRENCIES = (1, 16, 64)
SCALES = "10000,1000000"
BYTES_EACH = 3_300
"""On disk for each subscription with its rows and indexes, and what filling needs for a while."""
GROWING = ("updates", "new subscriptions", "new invoices", "ties and stale")
MOST_GROWTH = 1.15
"""How much more CPU an event may take among more subscriptions."""
RUNS = 7
SETTINGS = (
    "shared_buffers = '4GB'",
    "checkpoint_timeout = '1h'",
    "max_wal_size = '64GB'",
    "min_wal_size = '4GB'",
)
WAL_MEGABYTES = 3000
"""More than the runs write: a checkpoint recycles these segments for later WAL."""
FILLING = ("max_wal_size = '4GB'",)
"""Rows by the million write more WAL than a disk may hold until the next checkpoint."""
FILLED = ("max_wal_size = '64GB'", "full_page_writes = off")

ROWS = ROOT / "benchmarks" / "known_subscriptions.sql"

Name = TypeVar("Name")


def events(count: int, subscriptions: int, run: int) -> list[bytes]:
    """Return distinct events, each about a different subscription."""
    return streams.bodies(streams.update, count, subscriptions, run)


def requests_of(bodies: list[bytes], port: int) -> list[bytes]:
    """Sign and serialise; the signatures are valid for 300 seconds."""
    return [
        (
            f"POST /api/webhooks/stripe HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Content-Type: application/json; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
            f"Stripe-Signature: {made.sign(body, SECRET)}\r\n\r\n"
        ).encode()
        + body
        for body in bodies
    ]


@dataclass(frozen=True)
class Figures:
    """The figures of a run; latencies in milliseconds, CPU in seconds per 1,000 events."""

    rate: float
    p50: float
    p99: float
    service_cpu: float
    postgres_cpu: float

    @classmethod
    def median(cls, runs: "Sequence[Figures]") -> "Figures":
        """Return the median of each figure separately."""
        return cls(*(statistics.median(getattr(run, f.name) for run in runs) for f in fields(cls)))

    def __str__(self) -> str:
        return (
            f"{self.rate:8.0f} events/s   p50 {self.p50:6.2f} ms   p99 {self.p99:6.2f} ms   "
            f"CPU per 1,000 events: service {self.service_cpu:.2f} s, "
            f"PostgreSQL {self.postgres_cpu:.2f} s"
        )


def measure(target: Target, bodies: list[bytes], concurrency: int) -> Figures:
    """Send the bodies; return what that took."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(pickle.dumps(requests_of(bodies, target.port)))
        file.flush()
        before = cpu_seconds(target.pid), postgres_cpu(target.postmaster)
        command = [sys.executable, "-m", "benchmarks.load_generator", file.name]
        generator = subprocess.run(
            [*command, "127.0.0.1", str(target.port), str(concurrency)],
            check=True,
            capture_output=True,
            text=True,
        )
        after = cpu_seconds(target.pid), postgres_cpu(target.postmaster)
    load = json.loads(generator.stdout)
    service, postgres = ((b - a) / len(bodies) * 1000 for a, b in zip(before, after, strict=True))
    return Figures(len(bodies) / load["seconds"], load["p50"], load["p99"], service, postgres)


async def configure(url: str, settings: Sequence[str]) -> None:
    conn = await asyncpg.connect(url)
    for setting in settings:
        await conn.execute(f"ALTER SYSTEM SET {setting}")
    await conn.close()


async def preallocate_wal(url: str) -> None:
    conn = await asyncpg.connect(url)
    await conn.execute(
        "SELECT count(pg_logical_emit_message(FALSE, 'benchmark', repeat('x', 1000000)))"
        f" FROM generate_series(1, {WAL_MEGABYTES})",
        timeout=600,
    )
    await conn.execute("CHECKPOINT", timeout=600)
    await conn.close()


async def settle(url: str) -> None:
    """Leave the rows as if every page had been written since the last checkpoint."""
    await configure(url, FILLED)
    conn = await asyncpg.connect(url)
    await conn.execute("SELECT pg_reload_conf()")
    await conn.execute("CHECKPOINT", timeout=600)
    await conn.close()


async def prepare(url: str, subscriptions: int) -> None:
    """Give a database the schema and the rows."""
    await migrate(url)
    conn = await asyncpg.connect(url)
    await conn.execute("SET session_replication_role = replica")
    async with without_indexes(conn):
        await run_script(conn, ROWS.read_text(), subscriptions)
    await run(conn, "VACUUM ANALYZE")
    await conn.close()


async def count_jobs(url: str) -> int:
    conn = await asyncpg.connect(url)
    count: int = await conn.fetchval("SELECT count(*) FROM pgqueuer")
    await conn.close()
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=6000)
    parser.add_argument("--scale", action="store_true", help="vary the number of subscriptions")
    parser.add_argument("--scales", default=SCALES, help="the smallest number first")
    parser.add_argument("--streams", default=",".join(GROWING), help="with --scale: of what")
    options = parser.parse_args()
    if options.scale:
        scales = [int(one) for one in options.scales.split(",")]
        sys.exit(compare_scales(options.events, scales, options.streams.split(",")))
    with prepared(options.subscriptions, SETTINGS) as (postgres, url):
        print(f"{options.subscriptions:,} subscriptions, {options.events:,} events a run")
        compare_with_bare_limit(postgres, url, options.subscriptions, options.events)
        jobs = asyncio.run(count_jobs(url))
        assert jobs == 0, f"{jobs} events made work: the seed is not as the service writes it"


@contextmanager
def prepared(
    subscriptions: int, settings: Sequence[str] = ()
) -> Iterator[tuple[EmbeddedPostgres, str]]:
    """Run PostgreSQL with that many subscriptions; yields the server and the database's URL."""
    with scratch_folder() as folder, configured(folder / "postgres", settings) as postgres:
        yield postgres, prepare_database(postgres, subscriptions)


def prepare_database(postgres: EmbeddedPostgres, subscriptions: int) -> str:
    """Create a database with that many subscriptions, and return its URL."""
    postgres.create_database("bench")
    url = postgres.url("bench")
    asyncio.run(prepare(url, subscriptions))
    return url


@contextmanager
def configured(folder: Path, settings: Sequence[str]) -> Iterator[EmbeddedPostgres]:
    """Run PostgreSQL with these settings; if there are any, its WAL segments exist already."""
    with EmbeddedPostgres(folder) as postgres:
        postgres.create_database("settings")
        asyncio.run(configure(postgres.url("settings"), settings))
        postgres.stop()
        postgres.start()
        if settings:
            asyncio.run(preallocate_wal(postgres.url("settings")))
        yield postgres


def compare_with_bare_limit(
    postgres: EmbeddedPostgres, url: str, subscriptions: int, count: int
) -> None:
    runs = itertools.count(1)
    with service(postgres, url) as ours, bare_receiver(postgres, url) as bare:
        targets = {"bare": bare, "service": ours}
        for concurrency in CONCURRENCIES:
            size = count if concurrency > 1 else count // 4
            batches = (events(size, subscriptions, run) for run in runs)
            medians = take_turns(targets, batches, concurrency)
            for name, median in medians.items():
                print(f"{name:<8} c={concurrency:<3} {median}", flush=True)
            ratio = medians["service"].rate / medians["bare"].rate
            print(f"ratio to the bare limit: {ratio:.2f}", flush=True)


def take_turns(
    targets: Mapping[Name, Target], batches: Iterator[list[bytes]], concurrency: int
) -> Mapping[Name, Figures]:
    """Measure each target RUNS times after a warm-up; return the medians of its figures."""
    taken: dict[Name, list[Figures]] = {name: [] for name in targets}
    for _ in range(1 + RUNS):
        for name, target in targets.items():
            taken[name].append(measure(target, next(batches), concurrency))
    return {name: Figures.median(figures[1:]) for name, figures in taken.items()}


def compare_scales(count: int, scales: Sequence[int], growing: Sequence[str]) -> int:
    """Measure the service at one concurrency, the databases in turns; 1 if an event costs more.

    For each stream, the CPU of service and PostgreSQL is compared with that at the first scale.
    """
    require_disk(sum(scales) * BYTES_EACH)
    concurrency = CONCURRENCIES[1]
    runs = itertools.count(1)
    worst = 0.0
    with ExitStack() as stack:
        targets = {}
        for subscriptions in scales:
            postgres, url = stack.enter_context(prepared(subscriptions, (*SETTINGS, *FILLING)))
            asyncio.run(settle(url))
            targets[subscriptions] = stack.enter_context(service(postgres, url))
        for stream in growing:
            make = streams.STREAMS[stream]
            bodies = (
                streams.bodies(make, count, subscriptions, run)
                for run in runs
                for subscriptions in scales
            )
            medians = take_turns(targets, bodies, concurrency)
            worst = max(worst, print_growth(stream, medians))
    return int(worst > MOST_GROWTH)


def print_growth(stream: str, medians: Mapping[int, Figures]) -> float:
    """Print the figures of a stream at each scale; return the largest ratio to the first."""
    first, *_ = (one.service_cpu + one.postgres_cpu for one in medians.values())
    ratios = []
    for subscriptions, median in medians.items():
        ratios.append((median.service_cpu + median.postgres_cpu) / first)
        print(f"{subscriptions:>10,} {stream:<18} {median}   CPU {ratios[-1]:.2f}", flush=True)
    return max(ratios)


def require_disk(needed: int) -> None:
    """Say what is needed; SystemExit if the disk for temporary files has less."""
    free = shutil.disk_usage(tempfile.gettempdir()).free
    needed += WAL_MEGABYTES * 2_000_000
    print(f"needs {needed / 1e9:.0f} GB of {free / 1e9:.0f} GB free, and minutes a million")
    if needed > free:
        raise SystemExit(f"{tempfile.gettempdir()}: not enough disk; TMPDIR names another")


if __name__ == "__main__":
    main()
