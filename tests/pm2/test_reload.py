"""The service under real PM2, which `make test-pm2` installs from npm."""

import asyncio
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import aiohttp
import asyncpg
import pytest

from tests.pm2.load import Load
from tests.ports import unused_port
from tests.telemetry.scrape import scrape

pytestmark = [
    pytest.mark.pm2,
    pytest.mark.skipif("PM2" not in os.environ, reason="no PM2: run `make test-pm2`"),
]

ECOSYSTEM = Path(__file__).parent.parent.parent / "ecosystem.config.js"
SECRET = "whsec_load"
OURS = ("DATABASE_URL", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET", "APP_URL", "HOST", "PORT")


class Process(NamedTuple):
    name: str
    pid: int
    status: str


@dataclass
class Pm2:
    """A PM2 daemon of its own, and the environment that it gives to the service."""

    environment: dict[str, str]

    async def run(self, *arguments: str, status: int = 0) -> str:
        process = await asyncio.create_subprocess_exec(
            os.environ["PM2"],
            *arguments,
            env={**os.environ, **self.environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == status, output.decode()
        return output.decode()

    async def list_processes(self) -> list[Process]:
        listed = json.loads((await self.run("jlist")).splitlines()[-1])
        return [Process(each["name"], each["pid"], each["pm2_env"]["status"]) for each in listed]

    def log(self) -> str:
        """What the daemon has written about its processes."""
        return (Path(self.environment["PM2_HOME"]) / "pm2.log").read_text()

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


@pytest.fixture
def install(pm2: Pm2, tmp_path: Path) -> Path:
    """An installation with its settings in `.env`; return its ecosystem.config.js."""
    (tmp_path / ".venv").symlink_to(ECOSYSTEM.parent / ".venv")
    shutil.copy(ECOSYSTEM, tmp_path)
    settings = {name: pm2.environment.pop(name) for name in tuple(pm2.environment) if name in OURS}
    write_env(tmp_path, settings)
    return tmp_path / ECOSYSTEM.name


def write_env(folder: Path, settings: dict[str, str]) -> None:
    (folder / ".env").write_text("".join(f"{k}={v}\n" for k, v in settings.items()))


async def test_a_reload_with_wrong_settings_changes_nothing_and_leaves_no_orphan(
    pm2, port, install
):
    await pm2.run("start", str(install))
    before = await pm2.list_processes()
    good = (install.parent / ".env").read_text()
    async with Load(port, SECRET) as load:
        (install.parent / ".env").write_text(good.replace("PORT=", "PORT=x"))
        refused = await pm2.run("reload", str(install), status=1)
        assert "nothing was changed" in refused
        assert "PORT" in refused
        assert await pm2.list_processes() == before
        (install.parent / ".env").write_text(good)
        await pm2.run("reload", str(install))
    assert load.failures == []
    assert not {each.pid for each in before} & {each.pid for each in await pm2.list_processes()}
    started = await pm2.list_processes()
    await pm2.run("kill")
    assert not any(is_alive(each.pid) for each in [*before, *started])


async def test_a_start_with_wrong_settings_is_not_repeated(pm2, install):
    env = install.parent / ".env"
    await pm2.run("start", str(install))
    env.write_text(env.read_text().replace("PORT=", "PORT=x"))
    # by name, PM2 does not read ecosystem.config.js, which would have refused
    await pm2.run("restart", "tenant-billing-worker")
    await until(lambda: "exited with code [78]" in pm2.log())
    await asyncio.sleep(2)  # PM2 would start it again in 0.3 s
    assert pm2.log().count("exited with code [78]") == 1


async def test_what_pm2_has_started_leaves_with_it(pm2, install):
    await pm2.run("start", str(install))
    started = await pm2.list_processes()
    daemon = int((Path(pm2.environment["PM2_HOME"]) / "pm2.pid").read_text())
    os.kill(daemon, signal.SIGKILL)
    await until(lambda: not any(is_alive(each.pid) for each in started))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another process does, which notifies nobody."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.1)


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
