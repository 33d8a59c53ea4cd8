"""What a phase of work costs PostgreSQL: CPU, WAL, fsyncs and commits.

Read the counters after the service's processes have stopped: a backend reports its fsyncs and
commits no later than when it exits.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from benchmarks.servers import postgres_cpu, postmaster_of
from mpanel_billing.dev.postgres import EmbeddedPostgres

_COUNTERS = """
SELECT
    pg_current_wal_insert_lsn()::text AS lsn,
    (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint AS wal_bytes,
    (SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal') AS fsyncs,
    (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS commits
"""
_TOTAL = re.compile(r"^Total\s+\d+\s+(\d+) \[[^]]*\]\s+(\d+) \[", re.MULTILINE)


@dataclass(frozen=True)
class Reading:
    """The counters at one moment."""

    cpu: float
    lsn: str
    wal_bytes: int
    fsyncs: int
    commits: int


@dataclass(frozen=True)
class Cost:
    """What was used between two readings: CPU in seconds, WAL in bytes.

    `images` are full-page images, one per page after a checkpoint; `records` is the rest.
    """

    cpu: float
    records: int
    images: int
    fsyncs: int
    commits: int

    def per(self, count: int) -> str:
        """Format the cost of one of `count`."""
        return (
            f"PostgreSQL {self.cpu / count * 1000:.2f} ms CPU, "
            f"WAL {self.records / count:,.0f} + {self.images / count:,.0f} bytes (page images), "
            f"{self.fsyncs / count:.2f} fsyncs, {self.commits / count:.2f} commits"
        )


async def read_counters(postgres: EmbeddedPostgres, url: str) -> Reading:
    """Read the counters of a database that is alone on its server."""
    conn = await asyncpg.connect(url)
    row = await conn.fetchrow(_COUNTERS)
    # waits for the disk, unlike some commits before: pg_waldump reads what is on it
    await conn.execute("SELECT pg_current_xact_id()")
    await conn.close()
    assert row is not None
    return Reading(_server_cpu(postgres), **row)


def cost_between(postgres: EmbeddedPostgres, start: Reading, end: Reading) -> Cost:
    """Return what was used; the WAL in between must still be on disk (max_wal_size)."""
    records, images = _wal_bytes(postgres, start.lsn, end.lsn)
    return Cost(
        end.cpu - start.cpu,
        records,
        images,
        end.fsyncs - start.fsyncs,
        end.commits - start.commits,
    )


def _server_cpu(postgres: EmbeddedPostgres) -> float:
    """Add up the server's processes; start over if one exits meanwhile."""
    while True:
        try:
            return postgres_cpu(postmaster_of(postgres))
        except FileNotFoundError:
            continue


def _wal_bytes(postgres: EmbeddedPostgres, start: str, end: str) -> tuple[int, int]:
    folder: Path = postgres.data_dir / "pg_wal"
    waldump = subprocess.run(
        [postgres.bin_dir / "pg_waldump", "--stats", "-p", folder, "-s", start, "-e", end],
        check=True,
        capture_output=True,
        text=True,
    )
    total = _TOTAL.search(waldump.stdout)
    assert total is not None, waldump.stdout
    return int(total[1]), int(total[2])
