"""PostgreSQL that can be killed, frozen, made read-only, and run out of disk.

It flushes what it commits, and its data is on disk; only the write-ahead log is on a small tmpfs,
as that is a disk which can be full for a while without harm to this machine.
"""

import asyncio
import os
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from mpanel_billing.dev.postgres import EmbeddedPostgres, EmbeddedPostgresError
from tests.chaos.clock import Clock

WAL_MEGABYTES = 160
HEALED_MEGABYTES = 192
_OPTIONS = """
min_wal_size = 32MB
max_wal_size = 64MB
checkpoint_timeout = 30s
log_min_duration_statement = 5s
log_lock_waits = on
"""


@dataclass
class Database:
    """The server, which starts again whenever it has ended."""

    folder: Path
    port: int
    logs: Path
    starts: int = 0
    full: int = 0
    server: EmbeddedPostgres = field(init=False)
    watcher: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.server = EmbeddedPostgres(self.folder / "data", port=self.port, durable=True)
        self.wal = self.folder / "wal"
        self.ballast = self.wal / "ballast"
        self.clock = Clock(self.folder / "clock-of-postgres")

    @property
    def url(self) -> str:
        """Its address, without PgBouncer."""
        return self.server.endpoint.url("billing")

    def create(self) -> None:
        """Make an empty database, with the write-ahead log on a disk of its own."""
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
        self.wal.mkdir()
        _mount("-t", "tmpfs", "-o", f"size={WAL_MEGABYTES}m", "chaos", str(self.wal))
        wal = self.server.data_dir / "pg_wal"
        subprocess.run(["cp", "-a", f"{wal}/.", str(self.wal)], check=True)
        os.chown(self.wal, owner.st_uid, owner.st_gid)
        self.wal.chmod(0o700)
        subprocess.run(["rm", "-r", str(wal)], check=True)
        wal.symlink_to(self.wal)

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

    async def fill_disk(self, seconds: float) -> None:
        """Fill the disk of the write-ahead log, until the server has noticed, and for so long."""
        try:
            await asyncio.to_thread(self._fill)
            await self._use_up_wal()
            self.full += 1
            await asyncio.sleep(seconds)
        finally:
            _mount("-o", f"remount,size={HEALED_MEGABYTES}m", str(self.wal))
            self.ballast.unlink(missing_ok=True)
            _mount("-o", f"remount,size={WAL_MEGABYTES}m", str(self.wal))

    def _fill(self) -> None:
        with self.ballast.open("wb", buffering=0) as ballast, suppress(OSError):
            while True:
                ballast.write(bytes(65536))

    async def _use_up_wal(self) -> None:
        """Switch to new segments of the log until there is no space for one."""
        until = time.monotonic() + 20
        while time.monotonic() < until and _lives(self._postmaster()):
            try:
                await self.execute("SELECT pg_switch_wal(), pg_current_xact_id()")
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
            self.watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self.watcher
        self._keep_log()
        await asyncio.to_thread(self.server.stop)
        await asyncio.to_thread(subprocess.run, ["umount", str(self.wal)], check=False)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


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
