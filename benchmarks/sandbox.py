"""How much memory the sandbox needs per subscription, and how many renewals it makes a minute.

A sandbox runs as its command does, in a process of its own. Subscriptions are made by its API, each
with a customer and a card; then the clock moves by a month and two hours, so that each renews: its
notice, its invoice, its payment. Memory is the RSS of the process; the time of renewals is on the
clock and in CPU, which is the same on an idle machine.

Exits with 1 if a limit is exceeded: 2 GB for the subscriptions and all that belongs to them (at a
smaller `--subscriptions`, the growth is extended to 100,000), or fewer than 10,000 renewals a
minute of CPU.

    python -m benchmarks.sandbox [--subscriptions 100000] [--state FILE] [--profile FILE]
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import ClientSession, ClientTimeout

from benchmarks.memory import Memory
from benchmarks.servers import cpu_seconds
from stripe_sandbox.fixtures import form_of
from tests.ports import unused_port

SCALE, MOST_MEGABYTES, FEWEST_RENEWALS = 100_000, 2_048, 10_000
AT_ONCE = 8
HOUR = 3_600
KEY = {"Authorization": "Bearer sk_test_x"}
PRICE = {
    "currency": "usd",
    "unit_amount": 900,
    "recurring": {"interval": "month"},
    "product_data": {"name": "Hosting"},
}
CUSTOMER = {
    "email": "ada@example.com",
    "payment_method": "pm_card_visa",
    "invoice_settings": {"default_payment_method": "pm_card_visa"},
}


@dataclass(frozen=True)
class Running:
    """A sandbox in a process of its own."""

    session: ClientSession
    pid: int

    async def post(self, path: str, params: dict[str, object]) -> dict[str, str]:
        async with self.session.post(path, data=[*form_of(params)]) as response:
            response.raise_for_status()
            return await response.json()

    def megabytes(self) -> float:
        return Memory.of(self.pid).rss


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.sandbox", description=__doc__)
    parser.add_argument("--subscriptions", type=int, default=SCALE)
    parser.add_argument(
        "--state", help="keep everything in this file, as the option of the sandbox"
    )
    parser.add_argument("--profile", help="write a profile of the process to this file at its end")
    sys.exit("\n".join(asyncio.run(measure(parser.parse_args()))))


async def measure(options: argparse.Namespace) -> list[str]:
    """Print the figures; return a sentence for each limit that is exceeded."""
    async with running(options) as sandbox:
        price = await sandbox.post("/v1/prices", PRICE)
        await make(sandbox, price["id"], min(200, options.subscriptions))  # code and caches
        before = sandbox.megabytes()
        await make(sandbox, price["id"], options.subscriptions)
        after = sandbox.megabytes()
        kilobytes = (after - before) * 1024 / options.subscriptions
        print(f"memory: {before:.0f} MB, then {after:.0f} MB: {kilobytes:.1f} KB a subscription")
        rate = await renew(sandbox, options.subscriptions)
        print(f"memory after the renewals: {sandbox.megabytes():.0f} MB", flush=True)
    return [*exceeded(before + kilobytes * SCALE / 1024, rate)]


def exceeded(megabytes: float, rate: float) -> list[str]:
    """Return a sentence for each limit that is exceeded."""
    problems = []
    if megabytes > MOST_MEGABYTES:
        problems.append(
            f"{SCALE} subscriptions need {megabytes:.0f} MB, more than {MOST_MEGABYTES}"
        )
    if rate < FEWEST_RENEWALS:
        problems.append(f"{rate:.0f} renewals a minute of CPU, fewer than {FEWEST_RENEWALS}")
    return problems


@asynccontextmanager
async def running(options: argparse.Namespace) -> AsyncIterator[Running]:
    """Run a sandbox during the block."""
    port = unused_port()
    profiler = ["-m", "cProfile", "-o", options.profile] if options.profile else []
    command = [*profiler, "-m", "stripe_sandbox", f"--port={port}"]
    command += [f"--state={options.state}"] if options.state else []
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, stdout=asyncio.subprocess.PIPE
    )
    try:
        await process.stdout.readline()
        patient = ClientTimeout(total=None)  # all renewals are one request
        url = f"http://127.0.0.1:{port}"
        async with ClientSession(url, headers=KEY, timeout=patient) as session:
            yield Running(session, process.pid)
    finally:
        process.terminate()
        await process.communicate()


async def make(sandbox: Running, price: str, count: int) -> None:
    """Make customers with a card, and a subscription for each."""
    started, cpu = time.perf_counter(), cpu_seconds(sandbox.pid)
    left = iter(range(count))

    async def work() -> None:
        for _ in left:
            customer = await sandbox.post("/v1/customers", CUSTOMER)
            items = [{"price": price}]
            await sandbox.post("/v1/subscriptions", {"customer": customer["id"], "items": items})

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    took, used = time.perf_counter() - started, cpu_seconds(sandbox.pid) - cpu
    print(
        f"{count} subscriptions made in {took:.0f} s, {used / count * 1000:.1f} ms of CPU each",
        flush=True,
    )


async def renew(sandbox: Running, count: int) -> float:
    """Let every subscription renew once; return how many do in a minute of CPU."""
    async with sandbox.session.get("/_sandbox/clock") as response:
        now = (await response.json())["now"]
    started, cpu = time.perf_counter(), cpu_seconds(sandbox.pid)
    body = {"advance_to": now + 31 * 24 * HOUR + 2 * HOUR}
    async with sandbox.session.post("/_sandbox/clock", json=body) as response:
        response.raise_for_status()
    took, used = time.perf_counter() - started, cpu_seconds(sandbox.pid) - cpu
    print(
        f"{count} renewals: {count / took * 60:.0f} a minute on the clock, "
        f"{count / used * 60:.0f} a minute of CPU",
        flush=True,
    )
    return count / used * 60


if __name__ == "__main__":
    main()
