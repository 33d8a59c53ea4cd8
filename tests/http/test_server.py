import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.ports import unused_port

APP = Path(__file__).with_name("stoppable_app.py")


@dataclass
class Served:
    process: asyncio.subprocess.Process
    port: int
    url: str

    async def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.process.wait()


Start = Callable[[int], Awaitable[Served]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts the app under PM2's protocol and returns once it has said that it is ready."""
    started: list[asyncio.subprocess.Process] = []

    async def start_one(port: int) -> Served:
        ready, channel = os.pipe()
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            APP,
            str(port),
            env={**os.environ, "NODE_CHANNEL_FD": str(channel)},
            pass_fds=[channel],
        )
        started.append(process)
        os.close(channel)
        assert await asyncio.to_thread(os.read, ready, 100) == b'"ready"\n'
        os.close(ready)
        return Served(process, port, f"http://127.0.0.1:{port}")

    yield start_one
    for process in started:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as client:
        yield client


async def read(session: aiohttp.ClientSession, url: str) -> tuple[str, str | None]:
    async with session.get(url) as response:
        return await response.text(), response.headers.get("Connection")


async def ask_and_be_heard(session: aiohttp.ClientSession, url: str) -> asyncio.Task:
    """Send a request and return once its bytes have left; the task is its answer."""
    sent = asyncio.Event()
    trace = aiohttp.TraceConfig()

    async def note(*_: object) -> None:
        sent.set()

    trace.on_request_headers_sent.append(note)
    trace.freeze()
    session.trace_configs.append(trace)
    task = asyncio.create_task(read(session, url))
    await sent.wait()
    return task


async def test_a_running_request_is_finished(start, session):
    served = await start(unused_port())
    answer = await ask_and_be_heard(session, f"{served.url}/slow?seconds=0.5")
    assert await served.stop() == 0
    assert await answer == ("finished", "close")


async def test_a_delayed_response_is_sent_on_shutdown(start, session):
    served = await start(unused_port())
    answer = await ask_and_be_heard(session, f"{served.url}/wait")
    assert await served.stop() == 0
    assert await answer == ("stopping", "close")


async def test_a_request_over_an_open_connection_is_served_while_stopping(start, session):
    served = await start(unused_port())
    waiting = await ask_and_be_heard(session, f"{served.url}/wait")
    assert await read(session, f"{served.url}/slow?seconds=0") == ("finished", None)
    served.process.send_signal(signal.SIGINT)
    await waiting
    assert await read(session, f"{served.url}/slow?seconds=0") == ("finished", "close")
    assert await served.process.wait() == 0


async def test_a_handler_that_never_ends_does_not_hold_up_the_stop(start, session):
    served = await start(unused_port())
    answer = await ask_and_be_heard(session, f"{served.url}/slow?seconds=3600")
    async with asyncio.timeout(30):
        assert await served.stop() == 0
    with pytest.raises(aiohttp.ClientError):
        await answer


async def test_two_processes_under_pm2_share_the_port(start, session):
    port = unused_port()
    first, second = await start(port), await start(port)
    assert await first.stop() == 0
    assert await read(session, f"{second.url}/slow?seconds=0") == ("finished", None)


async def test_a_taken_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable, APP, str(port), stderr=asyncio.subprocess.PIPE
        )
        _, complaint = await process.communicate()
    assert process.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port} (PORT)" in complaint.decode()
