"""A worker that does nothing while work waits is ended, unless it is busy or cannot work."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from mpanel_billing.database import pool as pools
from mpanel_billing.worker import process, stall
from mpanel_billing.worker.process import work
from mpanel_billing.worker.stall import Progress, watch_queue
from tests.provisioning.conftest import ProvisioningSystem
from tests.service import make_settings
from tests.tcp_proxy import TcpProxy
from tests.waiting import until_true

DUE = "UPDATE pgqueuer SET execute_after = now() - interval '61 seconds'"


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> Progress:
    """A worker that has done nothing for a minute; it is looked at without delay."""
    monkeypatch.setattr(stall, "_CHECK_SECONDS", 0.0)
    seconds = iter([0.0])
    return Progress(lambda: next(seconds, 61.0))


async def reasons_of(database_url: str, progress: Progress) -> list[str]:
    """Watch until the queue has been looked at once; return the reasons to end the worker."""
    reasons: list[str] = []
    looked = asyncio.Event()
    excuse = progress.excuse

    def excused() -> None:
        excuse()
        looked.set()

    progress.excuse = excused  # type: ignore[method-assign]
    watching = asyncio.create_task(watch_queue(database_url, progress, reasons.append))
    async with asyncio.timeout(20):
        await looked.wait()
    watching.cancel()
    return reasons


async def make_work(system: ProvisioningSystem) -> None:
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    assert await system.pool.execute(DUE) != "UPDATE 0"


async def test_work_that_waits_while_nothing_is_done_is_a_stall(
    system: ProvisioningSystem, database_url: str, idle: Progress
) -> None:
    await make_work(system)
    assert await reasons_of(database_url, idle) == [
        "work has been due for 60 s, and this worker does nothing"
    ]


async def test_without_work_there_is_no_stall(database_url: str, idle: Progress) -> None:
    assert await reasons_of(database_url, idle) == []


async def test_a_read_only_database_is_no_stall(
    system: ProvisioningSystem, database_url: str, idle: Progress
) -> None:
    await make_work(system)
    await system.pool.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', "
        "current_database()); END $$"
    )
    assert await reasons_of(database_url, idle) == []


async def test_a_database_that_is_away_is_no_stall(idle: Progress) -> None:
    assert await reasons_of("postgresql://nobody@127.0.0.1:1/none", idle) == []


def test_a_running_job_is_no_idleness() -> None:
    seconds = 0.0
    progress = Progress(lambda: seconds)
    with progress.job():
        seconds = 1000.0
        assert progress.idle_seconds() == 0
    seconds = 1030.0
    assert progress.idle_seconds() == 30


async def test_a_worker_continues_after_its_connections_were_silent(
    system: ProvisioningSystem, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (process, pools):
        monkeypatch.setattr(module, "COMMAND_TIMEOUT_SECONDS", 0.5)
        monkeypatch.setattr(module, "CONNECT_TIMEOUT_SECONDS", 0.5)
    parts = urlsplit(database_url)
    [folder] = parse_qs(parts.query)["host"]
    async with TcpProxy(f"{folder}/.s.PGSQL.5432").running() as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}{parts.path}?sslmode=disable"
        stop = asyncio.Event()
        working = asyncio.create_task(work(make_settings(database_url=url), stop))
        listens = (
            "SELECT EXISTS (SELECT FROM pg_stat_activity"
            " WHERE query LIKE 'LISTEN%' AND datname = current_database())"
        )
        await until_true(system.pool, listens)
        proxy.silent = True
        await system.deliver_subscription("active")
        await system.deliver_invoice("paid")
        await asyncio.wait({working}, timeout=3)
        proxy.silent = False
        await until_true(
            system.pool, "SELECT EXISTS (SELECT FROM subscriptions WHERE status = 'active')"
        )
        stop.set()
        async with asyncio.timeout(30):
            await working


BLOCKS_ITS_LOOP = """
import asyncio, time
from mpanel_billing.telemetry import watchdog

watchdog.LIMIT_SECONDS = 0.3

async def block() -> None:
    async with watchdog.watching_loop():
        await asyncio.sleep(0.01)
        time.sleep(20)

asyncio.run(block())
"""
ENDS_ITSELF = """
import asyncio
from mpanel_billing.telemetry import watchdog

async def wait_for_ever() -> None:
    waiting = asyncio.create_task(asyncio.Event().wait(), name="waiting")
    await asyncio.sleep(0)
    watchdog.exit_stuck("nothing moves")

asyncio.run(wait_for_ever())
"""


@pytest.mark.parametrize(
    ("program", "status", "says"),
    [
        (BLOCKS_ITS_LOOP, lambda status: status == 1, ["Timeout", "in block"]),
        (
            ENDS_ITSELF,
            lambda status: status == 70,
            ["nothing moves", "in wait_for_ever", "in wait"],
        ),
    ],
)
def test_a_stuck_process_says_where_it_stands_and_exits(
    program: str, status: Callable[[int], bool], says: list[str]
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=30
    )
    assert status(ended.returncode), ended.stderr
    assert not [text for text in says if text not in ended.stderr], ended.stderr
