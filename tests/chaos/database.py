"""PostgreSQL that can be killed, frozen, made read-only, and run out of disk.

Its data and its write-ahead log have a disk each. A full one of the log ends the server; with a
full one of the data it goes on, and refuses what needs more room.
"""

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from mpanel_billing.background import end
from mpanel_billing.dev.postgres import EmbeddedPostgres, EmbeddedPostgresError
from tests.chaos.clock import Clock
from tests.chaos.disk import Disk

DATA_MEGABYTES, WAL_MEGABYTES = 4096, 192
_OPTIONS = """
min_wal_size = 32MB
max_wal_size = 64MB
checkpoint_timeout = 30s
log_min_duration_statement = 5s
log_lock_waits = on
"""

_USE_UP = {
    "data": "CREATE TEMP TABLE filling AS SELECT md5(n::text) FROM generate_series(1, 50000) n",
    "log": "SELECT pg_switch_wal(), pg_current_xact_id()",
}
"""What takes more room on a disk, by its name."""


@dataclass
class Database:
    """The server, which starts again whenever it has ended."""

    folder: Path
    port: int
    logs: Path
    starts: int = 0
    full: Counter[str] = field(default_factory=Counter)
    server: EmbeddedPostgres = field(init=False)
    watcher: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.disks = {
            "data": Disk(self.folder / "disk", DATA_MEGABYTES),
            "log": Disk(self.folder / "wal", WAL_MEGABYTES),
        }
        data = self.disks["data"].folder / "data"
        self.server = EmbeddedPostgres(data, port=self.port, durable=True)
        self.clock = Clock(self.folder / "clock-of-postgres")

    @property
    def url(self) -> str:
        """Its address, without PgBouncer."""
        return self.server.endpoint.url("billing")

    def create(self) -> None:
        """Make an empty database, with the write-ahead log on a disk of its own."""
        for disk in self.disks.values():
            disk.mount()
        self.server.start()
        self.server.create_database("billing")
        self.server.stop()
        self._move_wal()
        with (self.server.data_dir / "postgresql.conf").open("a") as settings:
            settings.write(_OPTIONS)
        self.clock.set_wrong(0)
        self._start()
        self.address = self.server.endpoint

    def _start(self) -> None:
        with self.clock.inherited():
            self.server.start()

    def _move_wal(self) -> None:
        owner = self.server.data_dir.stat()
        before, wal = self.server.data_dir / "pg_wal", self.disks["log"].folder
        subprocess.run(["cp", "-a", f"{before}/.", str(wal)], check=True)
        os.chown(wal, owner.st_uid, owner.st_gid)
        wal.chmod(0o700)
        subprocess.run(["rm", "-r", str(before)], check=True)
        before.symlink_to(wal)

    def watch(self) -> None:
        """Keep it running."""
        self.watcher = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while True:
            if not _lives(self._postmaster()):
                self._keep_log()
                with suppress(EmbeddedPostgresError):
                    await asyncio.to_thread(self._start)
                    self.starts += 1
            await asyncio.sleep(0.3)

    def _keep_log(self) -> None:
        """Add the log of the server that has ended to the others; a start deletes it."""
        with suppress(FileNotFoundError), (self.logs / "postgres.log").open("ab") as kept:
            kept.write(self.server.log_file.read_bytes())

    def _postmaster(self) -> int:
        try:
            return int((self.server.data_dir / "postmaster.pid").read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return 0

    def _family(self) -> list[int]:
        """Return the processes of the server, the first one first."""
        first = self._postmaster()
        if not first:
            return []
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(first)], check=False, capture_output=True, text=True
        )
        return [first, *map(int, found.stdout.split())]

    async def stop_immediately(self) -> None:
        """End it as `pg_ctl stop -m immediate` does: nothing is written any more."""
        _send(self._postmaster(), signal.SIGQUIT)

    async def kill(self) -> None:
        """Kill all of its processes."""
        for pid in self._family():
            _send(pid, signal.SIGKILL)

    async def freeze(self, seconds: float) -> None:
        """Keep its connections open and silent for so long."""
        frozen = self._family()
        for pid in frozen:
            _send(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            for pid in frozen:
                _send(pid, signal.SIGCONT)

    async def fill_disk(self, name: str, seconds: float) -> None:
        """Fill a disk, until the server has noticed, and for so long."""
        disk = self.disks[name]
        try:
            await asyncio.to_thread(disk.fill)
            await self._use_up(_USE_UP[name])
            self.full[name] += 1
            await asyncio.sleep(seconds)
        finally:
            await asyncio.to_thread(disk.free)

    async def _use_up(self, statement: str) -> None:
        """Take more room until there is none."""
        until = time.monotonic() + 20
        while time.monotonic() < until and _lives(self._postmaster()):
            try:
                await self.execute(statement)
            except (OSError, TimeoutError, asyncpg.PostgresError):
                return

    async def refuse_writes(self, seconds: float) -> None:
        """Be read-only for so long, as a standby is."""
        await self.insist("ALTER SYSTEM SET default_transaction_read_only = on")
        await self.insist("SELECT pg_reload_conf()")
        try:
            await asyncio.sleep(seconds)
        finally:
            await self.insist("ALTER SYSTEM RESET default_transaction_read_only")
            await self.insist("SELECT pg_reload_conf()")

    async def insist(self, statement: str) -> None:
        """Run a statement, trying again while the server is away."""
        while True:
            try:
                return await self.execute(statement)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.3)

    async def execute(self, statement: str) -> None:
        """Run a statement as superuser."""
        connection = await asyncpg.connect(self.address.url("billing"), timeout=5)
        try:
            await connection.execute(statement, timeout=10)
        finally:
            connection.terminate()

    async def end(self) -> None:
        if self.watcher is not None:
            await end(self.watcher)
        self._keep_log()
        await asyncio.to_thread(self.server.stop)
        for disk in self.disks.values():
            await asyncio.to_thread(disk.unmount)


def _lives(pid: int) -> bool:
    """Whether that process runs; a dead one that nobody has waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return pid > 0 and not stat.rpartition(") ")[2].startswith("Z")


def _send(pid: int, number: signal.Signals) -> None:
    if pid > 0:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
