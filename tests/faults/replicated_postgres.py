"""A primary and a synchronous standby on this machine."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from mpanel_billing.dev.postgres import EmbeddedPostgres
from tests.faults.deployment import polling
from tests.ports import unused_port
from tests.tcp_proxy import silent_port


@dataclass(frozen=True)
class ReplicatedPostgres:
    """Two servers; a transaction is committed once both have it on disk.

    `silent` is a port at which nothing ever responds, as of a machine that is gone.
    """

    primary: EmbeddedPostgres
    standby: EmbeddedPostgres
    silent: int

    def url(self, name: str) -> str:
        """Return the URL of whichever server accepts writes."""
        ports = self.silent, self.standby.endpoint.port, self.primary.endpoint.port
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        options = "sslmode=disable&target_session_attrs=read-write"
        return f"postgresql://postgres@{hosts}/{name}?{options}"

    def __iter__(self) -> Iterator[EmbeddedPostgres]:
        return iter((self.primary, self.standby))

    async def replicate(self) -> None:
        """Copy the primary to the standby, and make commits wait for it from then on."""
        await asyncio.to_thread(self._copy)
        conn = await asyncpg.connect(self.primary.url("postgres"))
        await conn.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        await conn.execute("SELECT pg_reload_conf()")
        async for _ in polling(20):
            if await conn.fetchval("SELECT sync_state FROM pg_stat_replication") == "sync":
                break
        await conn.close()

    def _copy(self) -> None:
        source, target = self.primary, self.standby
        shutil.rmtree(target.data_dir, ignore_errors=True)
        where = ["-h", source.endpoint.host, "-p", str(source.endpoint.port), "-U", "postgres"]
        subprocess.run(
            [source.bin_dir / "pg_basebackup", *where, "-D", target.data_dir, "-R", "-c", "fast"],
            check=True,
        )
        owner = source.data_dir.stat()
        for path in (target.data_dir, *target.data_dir.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        target.start()

    def kill_primary(self) -> None:
        """Kill all processes of the primary, as if its machine were gone."""
        postmaster = int((self.primary.data_dir / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        for pid in (postmaster, *map(int, children)):
            os.kill(pid, signal.SIGKILL)

    async def promote(self) -> None:
        """Make the standby accept writes."""
        conn = await asyncpg.connect(self.standby.url("postgres"))
        assert await conn.fetchval("SELECT pg_promote()")
        await conn.close()


@contextmanager
def running_replicated_postgres(folder: Path) -> Iterator[ReplicatedPostgres]:
    """Run both servers; `replicate` makes the standby."""
    with silent_port() as silent:
        replicated = ReplicatedPostgres(
            EmbeddedPostgres(folder / "primary", port=unused_port()),
            EmbeddedPostgres(folder / "standby", port=unused_port()),
            silent,
        )
        replicated.primary.start()
        try:
            yield replicated
        finally:
            for server in replicated:
                server.stop()
