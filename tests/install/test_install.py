"""A bare Debian is installed, restored and upgraded by the documents' lines: make test-install."""

import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp.test_utils import unused_port

from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.resources import ROOT
from stripe_sandbox import Sandbox
from stripe_sandbox.client import SandboxClient
from tests.install.buyer import buy, wait_until_active
from tests.install.documents import blocks, filled_in
from tests.install.machine import CHECKOUT, REPOSITORY, Machine
from tests.pm2.load import Load

pytestmark = [
    pytest.mark.equipment,
    pytest.mark.skipif("MACHINE" not in os.environ, reason="run `make test-install`"),
]

README, DEPLOYMENT = ROOT / "README.md", ROOT / "docs" / "deployment.md"
BACKUP = ROOT / "docs" / "backup.md"
DEFAULT_PORT = "4242"

OLDER_RELEASE = f"""
git clone file:///{REPOSITORY} /{CHECKOUT}
cd /{CHECKOUT}
make install
mv /root/.env .
.venv/bin/mpanel-billing migrate up
.venv/bin/mpanel-billing catalog apply
.venv/bin/mpanel-billing catalog push
pm2 start ecosystem.config.js
"""

COUNT_EVENTS = """
psql -tA mpanel <<< "SELECT count(*) FROM stripe_events WHERE id LIKE 'evt_load%'"
"""


@dataclass
class Panel:
    """mPanel's machine: what it has before the service comes, and where the service will be."""

    machine: Machine
    postgres: EmbeddedPostgres
    sandbox: Sandbox
    stripe: SandboxClient
    port: int
    nginx_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.nginx_port}"

    async def follow(self, document: Path, heading: str) -> str:
        """Run the lines of a document; return what they printed."""
        return "".join([await self.type_in(block) for block in blocks(document, heading)])

    async def type_in(self, block: str) -> str:
        values = {
            "<this repository>": f"file:///{REPOSITORY}",
            "<your host>": f"127.0.0.1:{self.nginx_port}",
        }
        # neither the sandbox nor this nginx speaks TLS
        return await self.machine.run(filled_in(block, values).replace("https://", "http://"))

    def fill_in_settings(self) -> None:
        self.machine.set(
            {
                "DATABASE_URL": self.postgres.url("mpanel"),
                "STRIPE_SECRET_KEY": "sk_test_of_the_installation",
                "STRIPE_API_BASE": self.sandbox.url,
                "APP_URL": "http://panel.test",
                "PORT": str(self.port),
            }
        )

    def fill_in_secret(self, printed: str) -> None:
        (secret,) = re.findall(r"whsec_\w+", printed)
        self.machine.set({"STRIPE_WEBHOOK_SECRET": secret})


@pytest.fixture
async def panel(tmp_path: Path, sandbox: Sandbox, stripe: SandboxClient) -> AsyncIterator[Panel]:
    server = EmbeddedPostgres(tmp_path / "postgres", port=unused_port())
    server.start()
    server.create_database("mpanel")
    machine = Machine(Path(os.environ["MACHINE"]), server.endpoint.port)
    machine.put_postgres()
    (machine.root / "backup").mkdir()
    panel = Panel(machine, server, sandbox, stripe, unused_port(), unused_port())
    location = next(block for block in blocks(README, "Install next to mPanel", "nginx"))
    await machine.serve_by_nginx(location.replace(DEFAULT_PORT, str(panel.port)), panel.nginx_port)
    yield panel
    server.stop()


async def test_the_documents_install_restore_and_upgrade(panel: Panel) -> None:
    await install(panel)
    await restore_a_backup(panel)
    await remove(panel)
    await upgrade(panel)


async def install(panel: Panel) -> None:
    """Follow the README, fill in .env where it says so, and sell a plan."""
    needs, checkout, before_secret, rest = blocks(README, "Install next to mPanel")
    await panel.type_in(needs)
    await panel.type_in(checkout)
    panel.fill_in_settings()
    panel.fill_in_secret(await panel.type_in(before_secret))
    await panel.type_in(rest)
    await buy(panel.url, panel.stripe)


async def restore_a_backup(panel: Panel) -> None:
    """Back up, sell, and restore: what was sold since comes back from Stripe."""
    before = await buy(panel.url, panel.stripe)
    await panel.follow(BACKUP, "What to keep")
    since = await buy(panel.url, panel.stripe)
    await panel.follow(BACKUP, "Restore a dump")
    for session_id in (before, since):
        await wait_until_active(panel.url, session_id)
    await buy(panel.url, panel.stripe)


async def remove(panel: Panel) -> None:
    """Leave PM2 and nginx without the service, and an empty database; keep the settings."""
    await panel.machine.run(
        f"pm2 delete all; mv /{CHECKOUT}/.env /root; rm -rf /{CHECKOUT}\n"
        "dropdb --force mpanel; createdb mpanel"
    )


async def upgrade(panel: Panel) -> None:
    """Start the older release, and upgrade it while Stripe's events keep coming."""
    branch = f"git --git-dir=/{REPOSITORY} branch --force main"
    await panel.machine.run(f"{branch} older")
    await panel.machine.run(OLDER_RELEASE)
    sold = await buy(panel.url, panel.stripe)

    await panel.machine.run(f"{branch} present")
    secret = panel.machine.setting("STRIPE_WEBHOOK_SECRET")
    async with Load(panel.nginx_port, secret, connections=1) as load:
        await panel.follow(DEPLOYMENT, "Updating")
        before = len(load.accepted)
        await buy(panel.url, panel.stripe)
    assert load.failures == []
    assert 0 < before < len(load.accepted)
    assert int(await panel.machine.run(COUNT_EVENTS)) == len(load.accepted)
    await wait_until_active(panel.url, sold)
