"""Who accepts writes: each database host is asked all the time, from the inside.

A client on the wrong side of a cut can still reach a primary that is cut off, over its socket. If
that one acknowledged a write while another leads, both would have led.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, groupby

import asyncpg

from tests.ha.hosts import PASSWORD, Host

TABLE = "CREATE TABLE ha_probe (host text, number bigint, PRIMARY KEY (host, number))"
_WRITE = "INSERT INTO ha_probe (host, number) VALUES ($1, $2)"
_PAUSE_SECONDS = 0.2
_PATIENCE_SECONDS = 1.0
"""Of a write that waits for a standby; then it counts as not acknowledged."""
_numbers = count(1)


@dataclass(frozen=True)
class Acknowledged:
    """A write that a host has acknowledged, when it was begun and when acknowledged."""

    host: str
    number: int
    begun: float
    at: float


@dataclass
class Probes:
    """What has been acknowledged, in this order."""

    writes: list[Acknowledged] = field(default_factory=list)

    def reigns(self) -> list[str]:
        """Return who led, each as often as the writes of another came between."""
        return [host for host, _ in groupby(self.writes, key=lambda write: write.host)]

    async def lost(self, conn: "asyncpg.Connection[asyncpg.Record]") -> set[tuple[str, int]]:
        """Return what was acknowledged and is not there."""
        rows = await conn.fetch("SELECT host, number FROM ha_probe")
        return {(write.host, write.number) for write in self.writes} - {tuple(row) for row in rows}

    async def watch(self, host: Host) -> None:
        """Write to a host until cancelled."""
        while True:
            try:
                await self._write_until_it_fails(host)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _write_until_it_fails(self, host: Host) -> None:
        conn = await asyncpg.connect(
            host=str(host.folder / "run" / "postgresql"),
            user="postgres",
            password=PASSWORD,
            database="postgres",
            timeout=_PATIENCE_SECONDS,
            command_timeout=_PATIENCE_SECONDS,
        )
        try:
            while True:
                number, begun = next(_numbers), time.monotonic()
                await conn.execute(_WRITE, host.name, number)
                self.writes.append(Acknowledged(host.name, number, begun, time.monotonic()))
                await asyncio.sleep(_PAUSE_SECONDS)
        finally:
            conn.terminate()


@asynccontextmanager
async def probing(hosts: Sequence[Host]) -> AsyncIterator[Probes]:
    """Write to each host until the block ends."""
    probes = Probes()
    tasks = [asyncio.create_task(probes.watch(host)) for host in hosts]
    try:
        yield probes
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
