"""What a reconcile costs, next to the bare lists, and that its memory does not grow.

Stripe is a fake that makes the objects of its lists from their number (`benchmarks.stripe_lists`),
at the ceiling of Stripe's rate limit. The first run fills an empty mirror, the next compares and
finds no difference. The bare lister requests the same pages, also by the SDK, and discards them. A
run over a tenth of the objects shows whether memory grows with them. CPU is that of the whole
process, start-up included.

Exits with 1 if comparing takes more than MOST_CPU, or memory grows by more than MOST_GROWTH.

    python -m benchmarks.reconcile [--objects 50000]     # 1000000 takes about ten minutes
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import free_port, scratch_folder, server
from mpanel_billing.database.migrations import migrate
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.mirror.types import COMPARED, MIRRORED_BY_NAME
from mpanel_billing.reconciliation.walk import CONCURRENCY
from mpanel_billing.settings import load_settings
from mpanel_billing.stripe_gateway.gateway import open_gateway

PER_SUBSCRIPTION = 4
"""Objects: the subscription, its customer, its invoice, and the payment of that."""
MOST_CPU = 0.010
"""Seconds of CPU per 100 objects, a page, of comparing without a difference."""
MOST_GROWTH = 4.0
"""MB that ten times as many objects may add to the peak."""


@dataclass(frozen=True)
class Figures:
    """What a process used for objects: wall-clock and CPU seconds, and its peak memory in MB."""

    objects: int
    seconds: float
    cpu: float
    memory: float

    @property
    def cpu_per_page(self) -> float:
        """Seconds of CPU per 100 objects."""
        return self.cpu / self.objects * 100

    def show(self, what: str) -> None:
        print(
            f"{what:<26} {self.objects:>9,} objects  {self.seconds:7.1f} s  "
            f"{self.objects / self.seconds:7,.0f} objects/s  CPU {self.cpu:6.1f} s, "
            f"{self.cpu_per_page * 1000:5.1f} ms per 100  {self.memory:5.0f} MB peak",
            flush=True,
        )


def measure(arguments: list[str], environment: dict[str, str], objects: int) -> Figures:
    """Run a module with this interpreter until it exits."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments} exited with {process.returncode}")
    seconds = time.monotonic() - started
    return Figures(objects, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


async def list_all() -> None:
    """List everything that a reconcile compares, at its concurrency, and discard it."""
    gateway = open_gateway(load_settings())
    waiting = deque(COMPARED)

    async def walk() -> None:
        while waiting:
            object_type, cursor, more = waiting.popleft(), {}, True
            while more:
                page = await gateway.list_page(MIRRORED_BY_NAME[object_type].resource, cursor)
                more = page.has_more
                cursor = {"starting_after": page.objects[-1]["id"]} if page.objects else {}

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(walk())
    await gateway.close()


def compare(objects: int, folder: Path) -> Figures:
    """Print what runs over that many objects cost; return the figures of comparing."""
    port = free_port()
    subscriptions = objects // PER_SUBSCRIPTION
    command = [sys.executable, "-m", "benchmarks.stripe_lists", str(port), str(subscriptions)]
    with EmbeddedPostgres(folder) as postgres, server(command, port, {}):
        postgres.create_database("bench")
        url = postgres.url("bench")
        asyncio.run(migrate(url))
        settings = environment(url, f"http://127.0.0.1:{port}")
        reconcile = ["mpanel_billing", "reconcile"]
        measure(reconcile, settings, objects).show("fills an empty mirror")
        measure(["benchmarks.reconcile", "--bare"], settings, objects).show("bare lister")
        compared = measure(reconcile, settings, objects)
        compared.show("compares, nothing differs")
        return compared


def environment(database_url: str, stripe_url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "STRIPE_SECRET_KEY": "sk_test_benchmark",
        "STRIPE_WEBHOOK_SECRET": "whsec_benchmark",
        "STRIPE_API_BASE": stripe_url,
        "APP_URL": "http://panel.test",
        "RECONCILE_REQUESTS_PER_SECOND": "100",
        "LOG_LEVEL": "error",
    }


def exceeded_limits(few: Figures, many: Figures) -> Iterator[str]:
    """Yield a sentence for each limit that is exceeded; `few` are a tenth of the objects."""
    if many.cpu_per_page > MOST_CPU:
        used = many.cpu_per_page * 1000
        yield f"100 objects take {used:.1f} ms of CPU, more than {MOST_CPU * 1000:.0f}"
    if many.memory > few.memory + MOST_GROWTH:
        yield f"memory grows from {few.memory:.0f} to {many.memory:.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.reconcile", description=__doc__)
    parser.add_argument("--objects", type=int, default=50_000)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        asyncio.run(list_all())
        return
    with scratch_folder() as folder:
        few = compare(given.objects // 10, folder / "few")
        many = compare(given.objects, folder / "many")
    sys.exit("\n".join(exceeded_limits(few, many)))


if __name__ == "__main__":
    main()
