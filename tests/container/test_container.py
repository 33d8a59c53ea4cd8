"""The image: web, worker and commands in read-only containers (`make test-container`)."""

import asyncio
import json
import os
import shlex
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest

from mpanel_billing.dev.postgres import EmbeddedPostgres
from tests.faults.deployment import Deployment, open_empty_deployment, polling
from tests.ports import unused_port
from tests.processes import service_environment

pytestmark = [
    pytest.mark.equipment,
    pytest.mark.skipif("STORAGE" not in os.environ, reason="run `make test-container`"),
]

IMAGE = "mpanel-billing"
CONFINED = (
    *("--read-only", "--cap-drop=all", "--security-opt=no-new-privileges", "--network=host"),
    *("--cgroups=disabled", "--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"),
)
"""Without cgroups, and with limits that are set, as the machine itself may be a container."""


@dataclass
class Podman:
    """Runs containers of the image with these settings."""

    settings: dict[str, str]
    started: list[str] = field(default_factory=list)

    async def call(self, *words: str, status: int = 0) -> str:
        process = await asyncio.create_subprocess_exec(
            *("podman", *shlex.split(os.environ["STORAGE"]), "--cgroup-manager=cgroupfs", *words),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode == status, output.decode()
        return output.decode()

    async def run(self, *words: str, status: int = 0) -> str:
        """Run a command in a container of its own, to its end."""
        return await self.call("run", "--rm", *self._options(), IMAGE, *words, status=status)

    async def start(self, *words: str) -> str:
        """Start a container that goes on; return its name."""
        name = f"billing-{uuid4().hex[:8]}"
        await self.call("run", "--detach", f"--name={name}", *self._options(), IMAGE, *words)
        self.started.append(name)
        return name

    def _options(self) -> list[str]:
        return [*CONFINED, *(f"--env={name}={value}" for name, value in self.settings.items())]

    async def wait_until_healthy(self, name: str) -> None:
        async for _ in polling(30):
            if await self._is_healthy(name):
                return
        raise AssertionError(await self.call("logs", name))

    async def _is_healthy(self, name: str) -> bool:
        try:
            await self.call("healthcheck", "run", name)
        except AssertionError:
            return False
        return True

    async def remove_all(self) -> None:
        for name in self.started:
            print(await self.call("logs", name))
            await self.call("rm", "--force", name)


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """PostgreSQL and the sandbox, outside of the containers; nothing is migrated."""
    server = EmbeddedPostgres(tmp_path / "postgres", port=unused_port(), durable=False)
    server.start()
    try:
        server.create_database("mpanel")
        async with open_empty_deployment(server.url("mpanel")) as opened:
            yield opened
    finally:
        server.stop()


@pytest.fixture
async def podman(deployment: Deployment) -> AsyncIterator[Podman]:
    settings = service_environment(deployment.urls["DATABASE_URL"], deployment.stripe_url)
    own = {"PORT": str(deployment.port), "WORKER_METRICS_PORT": str(unused_port())}
    opened = Podman(settings | own)
    yield opened
    await opened.remove_all()


async def test_a_plan_is_sold_by_read_only_containers(
    deployment: Deployment, podman: Podman
) -> None:
    assert "applied" in await podman.run("migrate", "up")
    await podman.run("catalog", "apply")
    await podman.run("catalog", "push")
    web, worker = await podman.start("serve"), await podman.start("worker")
    await podman.wait_until_healthy(web)
    await podman.wait_until_healthy(worker)

    page = await deployment.wait_until_active(await deployment.buy())
    assert page["status"] == "active"

    for name in (web, worker):
        assert await podman.call("exec", name, "id", "-u") == "10001\n"
        await podman.call("exec", name, "touch", "/opt/mpanel-billing/x", status=1)
        await podman.call("stop", "--time=12", name)
        (state,) = json.loads(await podman.call("inspect", name))
        assert state["State"]["ExitCode"] == 0, "it stops within its own limit"


async def test_a_container_whose_process_does_not_answer_is_unhealthy(podman: Podman) -> None:
    podman.settings["DATABASE_URL"] = "postgresql://nobody@127.0.0.1:1/nowhere"
    web = await podman.start("serve")
    await podman.wait_until_healthy(web)  # the database is no reason to start it again
    podman.settings["WORKER_METRICS_PORT"] = "0"
    worker = await podman.start("worker")
    await podman.call("healthcheck", "run", worker, status=1)


async def test_wrong_settings_end_a_container_with_78(podman: Podman) -> None:
    podman.settings["APP_URL"] = "somewhere"
    assert "APP_URL" in await podman.run("serve", status=78)
