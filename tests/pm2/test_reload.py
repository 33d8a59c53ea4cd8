"""The service under real PM2, which `make test-pm2` installs from npm."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import aiohttp
import asyncpg
import pytest
from aiohttp.test_utils import unused_port

from tests.pm2.load import Load
from tests.telemetry.scrape import scrape

pytestmark = [
    pytest.mark.pm2,
    pytest.mark.skipif("PM2" not in os.environ, reason="no PM2: run `make test-pm2`"),
]

ECOSYSTEM = Path(__file__).parent.parent.parent / "ecosystem.config.js"
SECRET = "whsec_load"


class Process(NamedTuple):
    name: str
    pid: int
    status: str


@dataclass
class Pm2:
    """A PM2 daemon of its own, and the environment that it gives to the service."""

    environment: dict[str, str]

    async def run(self, *arguments: str) -> str:
        process = await asyncio.create_subprocess_exec(
            os.environ["PM2"],
            *arguments,
            env={**os.environ, **self.environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()
        return output.decode()

    async def list_processes(self) -> list[Process]:
        listed = json.loads((await self.run("jlist")).splitlines()[-1])
        return [Process(each["name"], each["pid"], each["pm2_env"]["status"]) for each in listed]

    async def web_pids(self) -> set[int]:
        return {each.pid for each in await self.list_processes() if each.name == "tenant-billing"}


@pytest.fixture
def port() -> int:
    return unused_port()


@pytest.fixture
async def pm2(database_url: str, port: int) -> AsyncIterator[Pm2]:
    home = tempfile.mkdtemp(prefix="pm2-")  # short: PM2 puts sockets there
    daemon = Pm2(
        {
            "PM2_HOME": home,
            "DATABASE_URL": database_url,
            "STRIPE_SECRET_KEY": "sk_test_load",
            "STRIPE_WEBHOOK_SECRET": SECRET,
            "APP_URL": "http://localhost",
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "PROMETHEUS_MULTIPROC_DIR": f"{home}/metrics",
        }
    )
    yield daemon
    await daemon.run("kill")
    shutil.rmtree(home)


async def test_it_starts_reloads_under_load_without_one_failed_request_and_stops(
    pm2, port, database_url
):
    await pm2.run("start", str(ECOSYSTEM))
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"http://127.0.0.1:{port}/api/health/ready") as response,
    ):
        assert response.status == 200

    async with Load(port, SECRET) as load:
        for _ in range(3):
            before, web_before = len(load.accepted), await pm2.web_pids()
            await pm2.run("reload", str(ECOSYSTEM))
            assert len(load.accepted) > before
            assert not web_before & await pm2.web_pids()
    assert load.failures == []
    assert await count_events(database_url) == len(load.accepted)

    # every process reports all of them, including those that were replaced
    metrics = await scrape(port)
    assert metrics.value("webhook_events_total") == len(load.accepted)
    assert metrics.value("processes", process="web") == 2
    assert metrics.value("processes", process="worker") == 1

    running = await pm2.list_processes()
    assert [each.status for each in running] == ["online"] * 3
    await pm2.run("stop", "all")
    assert {each.status for each in await pm2.list_processes()} == {"stopped"}
    assert not any(is_alive(each.pid) for each in running)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def count_events(database_url: str) -> int:
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetchval("SELECT count(*) FROM stripe_events")
    finally:
        await connection.close()
