"""How fast a reconcile is compared with the bare API, and that its memory does not grow.

The sandbox holds the subscriptions, each with its customer, a paid invoice and its payment. The
first run fills an empty mirror, the next ones compare and find no difference. The bare lister
requests the same pages at the same concurrency and discards them: the API's own limit.

    python -m benchmarks.reconcile [--subscriptions 10000] [--runs 1]
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

import stripe

from benchmarks.servers import free_port, scratch_folder
from mpanel_billing.database.migrations import migrate
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.mirror.types import COMPARED, MIRRORED_BY_NAME
from mpanel_billing.reconciliation.walk import CONCURRENCY
from mpanel_billing.settings import load_settings
from mpanel_billing.stripe_gateway.gateway import open_gateway
from stripe_sandbox.client import SandboxClient

KEY = "sk_test_benchmark"


@dataclass(frozen=True)
class Figures:
    """What a process used: wall-clock and CPU seconds, and its peak memory in MiB."""

    seconds: float
    cpu: float
    memory: float

    def show(self, what: str, objects: int) -> None:
        print(
            f"{what:<28} {objects:>8,} objects  {self.seconds:7.1f} s  "
            f"{objects / self.seconds:7,.0f} objects/s  CPU {self.cpu:6.1f} s  "
            f"{self.memory:5.0f} MiB peak",
            flush=True,
        )


def measure(arguments: list[str], environment: dict[str, str]) -> Figures:
    """Run a module with this interpreter until it exits."""
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arguments} exited with {process.returncode}")
    return Figures(time.monotonic() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


async def seed(url: str, count: int) -> None:
    """Sell one subscription, and copy it `count` times, spread over a year."""
    http = stripe.AIOHTTPClient()
    api = stripe.StripeClient(KEY, http_client=http, base_addresses={"api": url}).v1
    price = await api.prices.create_async(
        {
            "currency": "usd",
            "unit_amount": 799,
            "recurring": {"interval": "month"},
            "product_data": {"name": "Starter"},
        }
    )
    customer = await api.customers.create_async(
        {
            "email": "ada@example.com",
            "name": "Ada",
            "payment_method": "pm_card_visa",
            "invoice_settings": {"default_payment_method": "pm_card_visa"},
        }
    )
    sold = await api.subscriptions.create_async(
        {"customer": customer.id, "items": [{"price": price.id}]}
    )
    await http.close_async()
    async with SandboxClient(url) as sandbox:
        await sandbox.copy_subscription(sold.id, count - 1, days=365)


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


def compare(count: int, runs: int, folder: Path) -> None:
    """Print the figures for that many subscriptions."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    sandbox = subprocess.Popen(
        [sys.executable, "-m", "mpanel_billing", "sandbox", "--port", str(port)],
        stdout=subprocess.PIPE,
    )
    try:
        if sandbox.stdout is not None:
            sandbox.stdout.readline()
        server.create_database("bench")
        asyncio.run(migrate(server.url("bench")))
        asyncio.run(seed(url, count))
        run_all(count, runs, environment(server.url("bench"), url))
    finally:
        sandbox.terminate()
        sandbox.wait(10)
        server.stop()


def environment(database_url: str, stripe_url: str) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": database_url,
        "STRIPE_SECRET_KEY": KEY,
        "STRIPE_WEBHOOK_SECRET": "whsec_benchmark",
        "STRIPE_API_BASE": stripe_url,
        "APP_URL": "http://panel.test",
        "RECONCILE_REQUESTS_PER_SECOND": "100",
        "LOG_LEVEL": "error",
    }


def run_all(count: int, runs: int, settings: dict[str, str]) -> None:
    objects = 4 * count
    reconcile = ["mpanel_billing", "reconcile"]
    measure([*reconcile], settings).show("fills an empty mirror", objects)
    for _ in range(runs):
        measure(["benchmarks.reconcile", "--bare"], settings).show("bare lister", objects)
        measure([*reconcile], settings).show("compares, nothing differs", objects)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.bare:
        asyncio.run(list_all())
        return
    with scratch_folder() as folder:
        compare(given.subscriptions, given.runs, folder)


if __name__ == "__main__":
    main()
