"""The wheel, built from the source distribution, used by a plain user in folders of other people.

The sources are gone by then: nothing is looked for beside them.
"""

import asyncio
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from mpanel_billing.database.migrations import expected_version
from stripe_sandbox import SandboxConfig, running_sandbox
from tests.ports import unused_port
from tests.processes import service_environment
from tests.wheel.conftest import AS_PLAIN_USER, BASE, ROOT, Installed, in_checkout


@pytest.fixture(scope="module")
def wheel() -> Iterator[Installed]:
    with tempfile.TemporaryDirectory(prefix="mpb wheel ") as name:
        folder = Path(name)
        folder.chmod(0o755)
        build = [sys.executable, "-m", "hatchling", "build", "--target", "sdist"]
        subprocess.run([*build, "--directory", name], cwd=ROOT, check=True, capture_output=True)
        [archive] = folder.glob("*.tar.gz")
        with tarfile.open(archive) as sources:
            sources.extractall(folder / "sources", filter="data")
        [sources_folder] = (folder / "sources").iterdir()
        done = in_checkout(sources_folder, ["scripts/install.sh", str(folder / "opt" / ".venv")])
        assert done.returncode == 0, done.stderr
        shutil.rmtree(folder / "sources")
        elsewhere = folder / "else where"
        elsewhere.mkdir()
        elsewhere.chmod(0o777)
        yield Installed(folder / "opt", elsewhere)


@contextmanager
def running(wheel: Installed, command: str, ready: str, environment: dict[str, str]):
    """Start a process as a plain user, in a folder where they cannot write, until it is ready."""
    process = subprocess.Popen(
        [*AS_PLAIN_USER, wheel.program, command],
        cwd="/",
        env={**BASE, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if ready in line:
                break
        else:
            pytest.fail("".join(lines))
        yield
        process.terminate()
        assert process.wait(15) == 0
    finally:
        process.kill()
        process.communicate()


def test_the_folders_of_others_are_enough_to_migrate(
    wheel: Installed, empty_database_url: str
) -> None:
    environment = {"DATABASE_URL": empty_database_url}
    for folder in (Path("/"), wheel.elsewhere):
        done = wheel.run("migrate", "up", environment=environment, folder=folder)
        assert done.returncode == 0, done.stderr
    assert done.stdout == f"nothing to do, the schema is at {expected_version()}\n"
    assert "0 pending\n" in wheel.run("migrate", "status", environment=environment).stdout
    assert wheel.run("migrate", "down", environment=environment).returncode == 0
    assert "1 pending\n" in wheel.run("migrate", "status", environment=environment).stdout


def test_a_new_migration_is_refused(wheel: Installed) -> None:
    done = wheel.run("migrate", "new", "add_order_notes")
    assert done.returncode == 1
    assert done.stderr == (
        "mpanel-billing: new migrations are written in a checkout of the repository, "
        "not in an installed package\n"
    )


def test_the_catalogue_comes_with_it(wheel: Installed, database_url: str) -> None:
    environment = {"DATABASE_URL": database_url}
    assert wheel.run("catalog", "check", environment=environment).stdout.endswith(": ok\n")
    done = wheel.run("catalog", "apply", environment=environment)
    assert "prices: 51 created" in done.stdout
    shutil.copy(ROOT / "catalog" / "migrahosting.toml", wheel.elsewhere / "ours.toml")
    ours = environment | {"CATALOGUE_FILE": "ours.toml"}
    assert wheel.run("catalog", "check", environment=ours).stdout.startswith("ours.toml: ")


async def test_it_serves_and_works_and_the_doctor_is_content(
    wheel: Installed, database_url: str
) -> None:
    async with running_sandbox(SandboxConfig()) as sandbox:
        port = unused_port()
        settings = service_environment(database_url, sandbox.url) | {"PORT": str(port)}
        with (
            running(wheel, "worker", "worker ready", settings),
            running(wheel, "serve", "listening on", settings),
        ):
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
                assert (await client.get("/api/health/ready")).status == 200
            done = await asyncio.to_thread(wheel.run, "doctor", "--json", environment=settings)
    findings = {finding["name"]: finding for finding in json.loads(done.stdout)["findings"]}
    for subject in ("versions", "dbmate", "database", "schema", "stripe key"):
        assert findings[subject]["status"] == "ok", done.stdout


def test_the_files_that_messages_name_can_be_unpacked(wheel: Installed) -> None:
    done = wheel.run("unpack", "files")
    assert done.returncode == 0, done.stderr
    deployed = [
        str(path.relative_to(ROOT)) for path in (ROOT / "deploy").rglob("*") if path.is_file()
    ]
    assert len(deployed) > 10
    for name in (".env.example", "ecosystem.config.js", "docs/access.md", *deployed):
        assert (wheel.elsewhere / "files" / name).read_bytes() == (ROOT / name).read_bytes()
    (wheel.elsewhere / ".env").write_text((ROOT / ".env.example").read_text())
    refused = wheel.run("serve")
    (wheel.elsewhere / ".env").unlink()
    assert refused.returncode == 78
    assert "STRIPE_SECRET_KEY: is still the example value" in refused.stderr


def test_development_is_not_there_and_says_so(wheel: Installed) -> None:
    for command in ("dev", "sandbox"):
        done = wheel.run(command)
        assert done.returncode == 1
        assert "the Stripe sandbox is not installed" in done.stderr
        assert "Traceback" not in done.stderr
