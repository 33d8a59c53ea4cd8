"""Who listens on PORT, found among real processes."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mpanel_billing.doctor.finding import Finding, Status
from mpanel_billing.doctor.listeners import Listener, check_listeners, judge_listeners
from tests.ports import unused_port

LISTEN = """
import os, socket, sys, time
if sys.argv[2] == "orphan" and os.fork():
    sys.exit()
server = socket.create_server(("127.0.0.1", int(sys.argv[1])), reuse_port=True)
print(os.getpid(), flush=True)
os.close(1)  # whose end is awaited with that of the process
time.sleep(60)
"""


@asynccontextmanager
async def listening(port: int, kind: str = "child", **environment: str) -> AsyncIterator[int]:
    """Run a process that listens; an orphan's parent ends at once."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", LISTEN, str(port), kind),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    pid = int(await process.stdout.readline())
    if kind == "orphan":
        await process.wait()
    try:
        yield pid
    finally:
        os.kill(pid, signal.SIGKILL)
        await process.wait()


async def look(port: int) -> Finding:
    [finding] = await check_listeners(port)
    return finding


async def test_a_free_port_is_fine() -> None:
    assert (await look(unused_port())).status is Status.OK


async def test_two_instances_of_one_parent_belong_together() -> None:
    port = unused_port()
    async with listening(port) as first, listening(port) as second:
        finding = await look(port)
    assert finding.status is Status.OK
    assert all(f"pid {pid}" in finding.detail for pid in (first, second))


async def test_an_orphan_beside_the_managed_one_is_named_with_its_pid() -> None:
    port = unused_port()
    async with listening(port) as managed, listening(port, "orphan", NODE_CHANNEL_FD="3") as orphan:
        finding = await look(port)
    assert finding.status is Status.FAILED
    assert f"pid {orphan} outlived PM2" in finding.detail
    assert finding.advice == f"stop it: kill {orphan}"
    assert str(managed) not in finding.advice


async def test_one_that_was_started_apart_is_named() -> None:
    port = unused_port()
    async with listening(port) as one, listening(port, "orphan") as other:
        finding = await look(port)
    assert finding.status is Status.WARNING
    assert all(f"pid {pid} " in finding.detail for pid in (one, other))


@pytest.mark.parametrize("manager", ["PM2 v7.0.1: God Daemon (/root/.pm2)", "node pm2-runtime"])
def test_what_pm2_holds_is_no_orphan(manager: str) -> None:
    pair = [Listener(pid, 7, manager, from_pm2=True) for pid in (8, 9)]
    assert judge_listeners(4242, 2, pair).status is Status.OK


def test_a_listener_of_another_user_is_counted() -> None:
    finding = judge_listeners(4242, 1, [])
    assert (finding.status, finding.detail) == (Status.OK, "1 on port 4242, of another user")
