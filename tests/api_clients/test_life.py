"""Clients generated from /openapi.json run a customer's life (`make test-clients`)."""

import asyncio
import subprocess
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest

from mpanel_billing.settings import Settings
from tests.inline_worker import InlineWorker
from tests.sandbox_peers.packages import npm, venv
from tests.service import Service, make_settings

HERE = Path(__file__).parent
KEY = "b" * 32
TYPESCRIPT = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3")
NODE_TYPES = "@types/node@22"
GENERATE = "--default-non-nullable false -o billing.d.ts"
"""Without it every key that has a default must be sent."""
COMPILE = "--noEmitOnError --strict --module nodenext --target es2022 --skipLibCheck life.ts"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=KEY,
    )


@pytest.fixture
async def document(service: Service, tmp_path: Path) -> Path:
    """The service's description of its API, in a file."""
    response = await service.client.get("/openapi.json")
    file = tmp_path / "openapi.json"
    file.write_text(await response.text())
    return file


async def run(*command: str | Path, cwd: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), cwd=cwd, stdout=PIPE, stderr=subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


async def lives(service: Service, worker: InlineWorker, *command: str | Path, cwd: Path) -> None:
    """Run a life; its order is paid and provisioned as soon as it has printed the page.

    One that prints `dispute` waits until its latest payment is disputed.
    """
    url = str(service.client.make_url("")).rstrip("/")
    process = await asyncio.create_subprocess_exec(
        *map(str, command), url, KEY, cwd=cwd, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    assert process.stdout is not None
    page = (await process.stdout.readline()).decode().strip()
    if page:
        await service.stripe.pay(page)
        await service.stripe.wait_idle()
        await worker.catch_up()
    assert process.stdin is not None
    process.stdin.write(b"paid\n")
    said = await process.stdout.readline()
    if said == b"dispute\n":
        charges = await worker.gateway.client.v1.charges.list_async({"limit": 1})
        await service.stripe.dispute(charges.data[0].id)
        await service.stripe.wait_idle()
        process.stdin.write(b"disputed\n")
        said = await process.stdout.readline()
    _, error = await process.communicate()
    assert (process.returncode, said) == (0, b"lived\n"), error.decode()


async def test_python(
    service: Service, worker: InlineWorker, document: Path, folder: Path, tmp_path: Path
) -> None:
    python = await asyncio.to_thread(venv, folder, "python", "openapi-python-client==0.29.1")
    (tmp_path / "config.yml").write_text("post_hooks: []\n")
    await run(
        python.parent / "openapi-python-client", "generate", "--path", document, "--meta", "none",
        "--output-path", "billing_client", "--config", "config.yml", "--fail-on-warning",
        cwd=tmp_path,
    )  # fmt: skip
    life = tmp_path / "life.py"
    life.write_text((HERE / "life.py").read_text())
    await lives(service, worker, python, life, cwd=tmp_path)


async def test_typescript(
    service: Service, worker: InlineWorker, document: Path, folder: Path
) -> None:
    packages = await asyncio.to_thread(npm, folder, "node", *TYPESCRIPT, NODE_TYPES)
    programs = packages / "node_modules" / ".bin"
    (packages / "package.json").write_text('{"type": "module"}')
    (packages / "life.ts").write_text((HERE / "life.ts").read_text())
    await run(programs / "openapi-typescript", document, *GENERATE.split(), cwd=packages)
    await run(programs / "tsc", *COMPILE.split(), cwd=packages)
    await lives(service, worker, "node", "life.js", cwd=packages)
