"""The processes of the service, as production runs them."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from tests.forked import Forked, start_forked
from tests.roles import RUNTIME_ROLE, WEB_ROLE, under_role
from tests.service import WEBHOOK_SECRET

SERVICE = (sys.executable, "-m", "mpanel_billing")
_READ_AT_START = {"LD_PRELOAD", "PYTHONPATH", "PROMETHEUS_MULTIPROC_DIR"}
"""Of the environment, what the interpreter or a library reads when it is loaded."""


@asynccontextmanager
async def running_worker(
    database_url: str, *, stripe_url: str = "http://127.0.0.1:1", **environment: str
) -> AsyncIterator["ServiceProcess"]:
    """Start a worker with its role, wait until it is ready; kill it afterwards if it still runs."""
    settings = service_environment(under_role(database_url, RUNTIME_ROLE), stripe_url)
    async with running([*SERVICE, "worker"], "worker ready", settings | environment) as worker:
        yield worker


@asynccontextmanager
async def running_api(
    database_url: str, port: int, *, stripe_url: str = "http://127.0.0.1:1", **environment: str
) -> AsyncIterator["ServiceProcess"]:
    """Start a web process with its role, wait until it listens; kill it if it still runs."""
    web_url = under_role(database_url, WEB_ROLE)
    settings = service_environment(web_url, stripe_url) | {"PORT": str(port)}
    async with running([*SERVICE, "serve"], "listening on", settings | environment) as api:
        yield api


def service_environment(database_url: str, stripe_url: str) -> dict[str, str]:
    """Return the settings that every process of the service needs."""
    return {
        "DATABASE_URL": database_url,
        "STRIPE_SECRET_KEY": "sk_test_of_the_tests",
        "STRIPE_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "STRIPE_API_BASE": stripe_url,
        "APP_URL": "http://panel.test",
        "LOG_FORMAT": "json",
    }


@asynccontextmanager
async def running(
    command: Sequence[str], ready: str, environment: Mapping[str, str]
) -> AsyncIterator["ServiceProcess"]:
    """Start a program and wait until it logs that it is ready; kill it afterwards.

    One of the service is forked, unless its environment is read when programs are loaded: that
    costs more than most tests do with it.
    """
    length = len(SERVICE)
    if tuple(command[:length]) == SERVICE and not _READ_AT_START & environment.keys():
        service = ServiceProcess(await start_forked(command[length:], environment))
    else:
        service = ServiceProcess(await _start(command, environment))
    try:
        await service.wait_for(ready)
        yield service
    finally:
        await service.kill()


async def _start(
    command: Sequence[str], environment: Mapping[str, str]
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *command,
        env={"PATH": os.environ["PATH"], **environment},
        stderr=asyncio.subprocess.PIPE,
    )


class ServiceProcess:
    """A process of the service, and what it has logged."""

    def __init__(self, process: asyncio.subprocess.Process | Forked) -> None:
        self.process = process
        self.lines: list[str] = []
        self._ended = False
        self._more = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())

    async def wait_for(self, text: str, times: int = 1) -> None:
        """Wait for so many lines that contain the text; what it wrote instead, if it ends."""

        def is_there() -> bool:
            return sum(text in line for line in self.lines) >= times

        async with asyncio.timeout(60), self._more:
            await self._more.wait_for(lambda: self._ended or is_there())
        assert is_there(), "".join(self.lines)

    async def stop(self) -> int:
        """Ask it to stop, and return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            return await self.process.wait()

    async def kill(self) -> None:
        """Kill it as the kernel does, without a chance to clean up."""
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        await self._reader

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            async with self._more:
                self.lines.append(line.decode())
                self._more.notify_all()
        async with self._more:
            self._ended = True
            self._more.notify_all()
