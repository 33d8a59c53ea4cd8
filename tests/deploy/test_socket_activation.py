"""`serve` under a socket that systemd holds, and what systemd hears from it."""

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mpanel_billing.database.pool import Pool
from tests.pm2.load import Load
from tests.ports import unused_port
from tests.processes import SERVICE, service_environment
from tests.service import WEBHOOK_SECRET

RESTARTS = 2
AS_SYSTEMD = """
for number in $(seq "$1"); do
    (LISTEN_PID=$BASHPID exec "${@:2}") &
    echo $!
    wait
done
"""
"""Keeps the socket that systemd-socket-activate has opened, and starts the program so many times,
each time when it has ended."""


class Systemd:
    """The end of NOTIFY_SOCKET at which systemd listens."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(address)

    async def hear(self, state: str) -> None:
        """Return when a process has said so."""
        async with asyncio.timeout(30):
            while await asyncio.get_running_loop().sock_recv(self._socket, 1024) != state.encode():
                pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    opened = Systemd(os.path.relpath(tmp_path / "notify"))  # relative: such paths must be short
    yield opened
    opened.close()


@asynccontextmanager
async def activated(
    port: int, database_url: str, systemd: Systemd
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `serve` under systemd-socket-activate, which starts it at the first connection."""
    settings = service_environment(database_url, "http://127.0.0.1:1") | {
        "PORT": str(unused_port()),  # has no effect
        "NOTIFY_SOCKET": systemd.address,
    }
    process = await asyncio.create_subprocess_exec(
        *("systemd-socket-activate", f"--listen=127.0.0.1:{port}"),
        *(f"--setenv={name}={value}" for name, value in settings.items()),
        *("bash", "-c", AS_SYSTEMD, "bash", str(RESTARTS + 1), *SERVICE, "serve"),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    yield process
    os.killpg(process.pid, signal.SIGTERM)
    await process.wait()


@pytest.mark.equipment
@pytest.mark.skipif(not shutil.which("systemd-socket-activate"), reason="no systemd")
async def test_no_request_is_lost_while_a_process_is_restarted(
    database_url: str, pool: Pool, systemd: Systemd
) -> None:
    port = unused_port()
    async with activated(port, database_url, systemd) as process:
        assert process.stdout is not None
        await wait_until_open(port)
        async with Load(port, WEBHOOK_SECRET) as load:
            for _ in range(RESTARTS):
                pid = int(await process.stdout.readline())
                await systemd.hear("READY=1")
                await accepts_more(load)
                await systemd.hear("WATCHDOG=1")
                os.kill(pid, signal.SIGTERM)
            await systemd.hear("READY=1")
            await accepts_more(load)
        assert load.failures == []
    assert await pool.fetchval("SELECT count(*) FROM stripe_events") == len(load.accepted)


async def accepts_more(load: Load) -> None:
    before = len(load.accepted)
    async with asyncio.timeout(30):
        while len(load.accepted) == before:  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.02)


async def wait_until_open(port: int) -> None:
    """Wait for systemd-socket-activate, which only says on a terminal that it listens."""
    async with asyncio.timeout(30):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
