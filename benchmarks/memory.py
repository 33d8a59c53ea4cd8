"""How much memory a web process and a worker need: at rest, after a purchase, after 1,000 events.

Both run as production runs them, on PostgreSQL and the sandbox. They are measured once they are
ready; after the first purchase has been provisioned, so that the Stripe SDK has been used; and
after further purchases until the inbox has so many events. RSS counts the pages that a process has
in memory, PSS its share of those that it has in common with others. How long `serve` takes until it
is ready is printed too, on the clock and in CPU.

Exits with 1 if a limit (`LIMITS`, `READY_CPU_SECONDS`) is exceeded.

    python -m benchmarks.memory [--events 1000]
"""

import argparse
import asyncio
import re
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.servers import cpu_seconds, scratch_folder
from mpanel_billing.database.migrations import migrate
from mpanel_billing.dev.postgres import EmbeddedPostgres
from tests.faults.deployment import Deployment, open_deployment
from tests.processes import running_api, running_worker

AT_REST, FIRST_PURCHASE, AFTER_EVENTS = "at rest", "after a purchase", "after the events"
LIMITS: Mapping[str, Mapping[str, float]] = {
    AT_REST: {"web": 74, "worker": 67},
    FIRST_PURCHASE: {"web": 75, "worker": 68},
    AFTER_EVENTS: {"web": 78, "worker": 68},
}
"""The most RSS, in MB (of 1,048,576 bytes): what each has, and 1 to 3 for noise."""
READY_CPU_SECONDS = 1.0
"""The most CPU until `serve` is ready; on an idle machine it is also the time."""

_AT_ONCE = 4
_PATIENCE_SECONDS = 80.0
_UNLIMITED = {"RATE_LIMIT_ORDERS": "off", "RATE_LIMIT_LOOKUPS": "off"}
_LINE = re.compile(r"^(Rss|Pss|Private_Dirty): +(\d+) kB$", re.MULTILINE)
_EVENTS = "SELECT count(*) FROM stripe_events"


@dataclass(frozen=True)
class Memory:
    """The memory of a process, in MB: in RAM, its share of it, and what only it has written."""

    rss: float
    pss: float
    written: float

    @classmethod
    def of(cls, pid: int) -> "Memory":
        """Read it from /proc."""
        return cls.read(Path(f"/proc/{pid}/smaps_rollup").read_text())

    @classmethod
    def read(cls, text: str) -> "Memory":
        """Read the text of a `smaps_rollup`."""
        kilobytes = {name: int(number) for name, number in _LINE.findall(text)}
        return cls(*(kilobytes[name] / 1024 for name in ("Rss", "Pss", "Private_Dirty")))

    def __str__(self) -> str:
        return f"RSS {self.rss:5.1f}   PSS {self.pss:5.1f}   written {self.written:5.1f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.memory", description=__doc__)
    parser.add_argument("--events", type=int, default=1000)
    options = parser.parse_args()
    with scratch_folder() as folder, EmbeddedPostgres(folder / "postgres") as postgres:
        postgres.create_database("bench")
        exceeded = asyncio.run(measure(postgres.url("bench"), options.events))
    sys.exit("\n".join(exceeded))


async def measure(url: str, events: int) -> list[str]:
    """Print the figures; return a sentence for each limit that is exceeded."""
    await migrate(url)
    async with open_deployment(url) as deployment:
        stripe = deployment.stripe_url
        started = time.perf_counter()
        async with running_api(url, deployment.port, stripe_url=stripe, **_UNLIMITED) as web:
            exceeded = _report_start(time.perf_counter() - started, web.process.pid)
            async with running_worker(url, stripe_url=stripe) as worker:
                pids = {"web": web.process.pid, "worker": worker.process.pid}
                return exceeded + await _measure(deployment, pids, events)


async def _measure(deployment: Deployment, pids: Mapping[str, int], events: int) -> list[str]:
    exceeded = _report(AT_REST, pids)
    await _buy(deployment, 1)
    exceeded += _report(FIRST_PURCHASE, pids)
    while await deployment.pool.fetchval(_EVENTS) < events:
        await _buy(deployment, _AT_ONCE)
    return exceeded + _report(AFTER_EVENTS, pids)


async def _buy(deployment: Deployment, count: int) -> None:
    async def buy() -> None:
        await deployment.wait_until_active(await deployment.buy())

    await asyncio.gather(*(buy() for _ in range(count)))
    await deployment.stripe.wait_idle(_PATIENCE_SECONDS)


def _report_start(seconds: float, pid: int) -> list[str]:
    cpu = cpu_seconds(pid)
    print(f"serve is ready after {seconds:.2f} s, with {cpu:.2f} s of CPU", flush=True)
    return [f"serve takes {cpu:.2f} s of CPU to start"] if cpu > READY_CPU_SECONDS else []


def _report(when: str, pids: Mapping[str, int]) -> list[str]:
    found = {name: Memory.of(pid) for name, pid in pids.items()}
    for name, memory in found.items():
        print(f"{when:<18} {name:<7} {memory}", flush=True)
    return [*exceeded_limits(when, found)]


def exceeded_limits(when: str, found: Mapping[str, Memory]) -> Iterator[str]:
    """Yield a sentence for each process with more RSS than it may have then."""
    for name, memory in found.items():
        if memory.rss > (most := LIMITS[when][name]):
            yield f"{name} has {memory.rss:.1f} MB {when}, more than {most:.0f}"


if __name__ == "__main__":
    main()
