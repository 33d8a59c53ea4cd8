"""Clients generated from /openapi.json run a customer's life (`make test-clients`)."""

import asyncio
import json
import shutil
import subprocess
from asyncio.subprocess import PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.encryption import Vault
from mpanel_billing.provisioning.drivers.registry import open_drivers
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.telemetry.counters import HTTP_REQUESTS
from stripe_sandbox import Dunning
from tests.api_clients.script import LIFE, STEPS, World
from tests.inline_worker import InlineWorker
from tests.provisioning.reference_server import ReferenceServer
from tests.sandbox_peers.packages import npm, venv
from tests.service import Service, make_settings
from tests.usage.conftest import metered_file

HERE = Path(__file__).parent
KEY = "b" * 32
VAULT_KEY = Fernet.generate_key().decode()
TYPESCRIPT = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3")
NODE_TYPES = "@types/node@22"
GENERATE = "--default-non-nullable false -o billing.d.ts"
"""Without it every key that has a default must be sent."""
COMPILE = "--noEmitOnError --strict --module nodenext --target es2022 --skipLibCheck life.ts"
WITHOUT_DOMAINS = "/api/billing/domains"
"""A life has none: what is done about them needs a registrar (tests/domains)."""


@pytest.fixture
def dunning() -> Dunning:
    return Dunning(final="unpaid")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=KEY,
        encryption_keys=VAULT_KEY,
    )


@pytest.fixture
async def document(service: Service, tmp_path: Path) -> Path:
    """The service's description of its API, in a file."""
    response = await service.client.get("/openapi.json")
    file = tmp_path / "openapi.json"
    file.write_text(await response.text())
    return file


@pytest.fixture
async def worker(worker: InlineWorker) -> AsyncIterator[InlineWorker]:
    """The worker, with hosting accounts at a service that answers what their owners log in with."""
    async with ReferenceServer(access={"userName": "ada-7f3"}).running() as server:
        services = {"hosting": server.endpoint()}
        async with open_drivers(make_settings(provisioning_services=services)) as drivers:
            vault = Vault((SecretStr(VAULT_KEY),))
            provisioning = replace(worker.provisioning, drivers=drivers, vault=vault)
            yield replace(worker, provisioning=provisioning)


@pytest.fixture
async def world(service: Service, worker: InlineWorker) -> World:
    """A shop with usage, several of an add-on, a coupon, and one for who wants to leave."""
    await apply_catalogue(service.pool, metered_file())
    await service.pool.execute("UPDATE products SET max_quantity = 5 WHERE kind = 'addon'")
    await service.pool.execute(
        "INSERT INTO coupons (code, name, percent_off, duration, retention)"
        " VALUES ('STAY', 'A tenth off', 10, 'forever', TRUE),"
        " ('FIFTH', 'A fifth off', 20, 'forever', FALSE)"
    )
    await push_catalogue(service.pool, StripeCatalogue(worker.gateway.client), livemode=False)
    return World(worker)


async def run(*command: str | Path, cwd: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=cwd, stdout=PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def live(world: World, document: Path, *command: str | Path, cwd: Path) -> None:
    """Run the whole life with a client; it leaves out no step, and no route of the API."""
    before = answered()
    url = str(world.worker.service.client.make_url("")).rstrip("/")
    async with running(*command, url, KEY, cwd=cwd) as client:
        assert sorted(await hear(client)) == sorted(STEPS)
        handed_on: str | None = None
        for step in LIFE:
            given = [] if handed_on is None else [handed_on]
            if isinstance(step, str):
                handed_on = await ask(client, step, given)
            else:
                handed_on = await step(world, *given)
            await world.worker.catch_up()
    assert routes(document) - set(answered() - before) == set()


@asynccontextmanager
async def running(*command: str | Path, cwd: Path) -> AsyncIterator[Process]:
    client = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=cwd, stdin=PIPE, stdout=PIPE
    )
    assert client.stdin is not None
    try:
        yield client
    finally:
        client.stdin.close()
        await client.wait()


async def ask(client: Process, step: str, given: list[str]) -> Any:
    """Have a step taken; return what it hands on. What is wrong, the client writes to stderr."""
    assert client.stdin is not None
    client.stdin.write(json.dumps([step, given]).encode() + b"\n")
    return await hear(client, step)


async def hear(client: Process, step: str = "its steps") -> Any:
    assert client.stdout is not None
    said = await client.stdout.readline()
    assert said, f"the client ended at {step}"
    return json.loads(said)


def routes(document: Path) -> set[tuple[str, str]]:
    """Return what mPanel's backend can ask for."""
    paths: dict[str, dict[str, Any]] = json.loads(document.read_text())["paths"]
    return {
        (method.upper(), path)
        for path, methods in paths.items()
        if path.startswith("/api/billing/") and not path.startswith(WITHOUT_DOMAINS)
        for method in methods
    }


def answered() -> Counter[tuple[str, str]]:
    """Count what was answered with success, by method and route."""
    samples = [sample for metric in HTTP_REQUESTS.collect() for sample in metric.samples]
    return Counter(
        {
            (each.labels["method"], each.labels["route"]): int(each.value)
            for each in samples
            if each.labels["status"].startswith("2")
        }
    )


async def test_python(world: World, document: Path, folder: Path, tmp_path: Path) -> None:
    python = await asyncio.to_thread(venv, folder, "python", "openapi-python-client==0.29.1")
    (tmp_path / "config.yml").write_text("post_hooks: []\n")
    await run(
        python.parent / "openapi-python-client", "generate", "--path", document, "--meta", "none",
        "--output-path", "billing_client", "--config", "config.yml", "--fail-on-warning",
        cwd=tmp_path,
    )  # fmt: skip
    shutil.copytree(HERE / "python", tmp_path, dirs_exist_ok=True)
    await live(world, document, python, "life.py", cwd=tmp_path)


async def test_typescript(world: World, document: Path, folder: Path) -> None:
    packages = await asyncio.to_thread(npm, folder, "node", *TYPESCRIPT, NODE_TYPES)
    programs = packages / "node_modules" / ".bin"
    (packages / "package.json").write_text('{"type": "module"}')
    shutil.copytree(HERE / "typescript", packages, dirs_exist_ok=True)
    await run(programs / "openapi-typescript", document, *GENERATE.split(), cwd=packages)
    await run(programs / "tsc", *COMPILE.split(), cwd=packages)
    await live(world, document, "node", "life.js", cwd=packages)
