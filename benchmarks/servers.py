"""Processes under measurement: PostgreSQL, the service, and how much CPU each has used."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from mpanel_billing.database.migrations import migrate
from mpanel_billing.database.queries import Connection
from mpanel_billing.dev.postgres import EmbeddedPostgres

SECRET = "whsec_benchmark"
POOL_SIZE = 10


@dataclass(frozen=True)
class Target:
    """A web server under load, and the PostgreSQL behind it."""

    port: int
    pid: int
    postmaster: int


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder for PostgreSQL's data.

    Every user may pass through it: otherwise a server started by root, which runs as another
    user, would keep its data elsewhere and nobody would delete it.
    """
    with tempfile.TemporaryDirectory(prefix="mpb-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@asynccontextmanager
async def scratch_database(folder: Path) -> AsyncIterator[Connection]:
    """Yield a connection to a migrated, empty database on its own server."""
    with EmbeddedPostgres(folder / "postgres") as postgres:
        postgres.create_database("scratch")
        await migrate(postgres.url("scratch"))
        conn = await asyncpg.connect(postgres.url("scratch"))
        yield conn
        await conn.close()


async def attempt(conn: Connection, statement: str) -> str:
    """Run a statement; return its command tag, or PostgreSQL's error."""
    try:
        return await conn.execute(statement)
    except asyncpg.PostgresError as error:
        return f"refused: {error}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server(
    command: list[str], port: int, environment: dict[str, str], folder: Path | None = None
) -> Iterator[int]:
    """Run a server process in a folder for the duration of the block; yields its pid."""
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, **environment}, stdout=subprocess.DEVNULL
    )
    try:
        _wait_for(port, process)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit(f"the server on port {port} did not start")


@contextmanager
def web_process(
    url: str, *, python: str = sys.executable, folder: Path | None = None, **environment: str
) -> Iterator[tuple[int, int]]:
    """Run one web process on a database; yields its port and pid.

    `python` is that of another installation, `folder` where its files are.
    """
    port = free_port()
    settings = {
        "DATABASE_URL": url,
        "STRIPE_SECRET_KEY": "sk_test_benchmark",
        "STRIPE_WEBHOOK_SECRET": SECRET,
        "APP_URL": "http://localhost",
        "PORT": str(port),
        **environment,
    }
    with server([python, "-m", "mpanel_billing", "serve"], port, settings, folder) as pid:
        yield port, pid


@contextmanager
def service(
    postgres: EmbeddedPostgres,
    url: str,
    *,
    python: str = sys.executable,
    folder: Path | None = None,
) -> Iterator[Target]:
    """Run one web process, to put under load; the parameters are those of `web_process`."""
    settings = {"DATABASE_POOL_MAX": str(POOL_SIZE), "LOG_LEVEL": "warning"}
    with web_process(url, python=python, folder=folder, **settings) as (port, pid):
        yield Target(port, pid, postmaster_of(postgres))


@contextmanager
def bare_receiver(postgres: EmbeddedPostgres, url: str) -> Iterator[Target]:
    """Run the handler that only stores the body, to put under load."""
    port = free_port()
    arguments = [url, str(port), SECRET, str(POOL_SIZE)]
    command = [sys.executable, "-m", "benchmarks.bare_receiver", *arguments]
    with server(command, port, {}) as pid:
        yield Target(port, pid, postmaster_of(postgres))


def postmaster_of(postgres: EmbeddedPostgres) -> int:
    return int((postgres.data_dir / "postmaster.pid").read_text().split()[0])


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of a process, from /proc."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")


def postgres_cpu(postmaster: int) -> float:
    """Return the CPU time of all of a server's processes, including those that have exited."""
    stat = Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()
    own = sum(int(stat[n]) for n in (11, 12, 13, 14)) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    return own + sum(cpu_seconds(int(child)) for child in children)
