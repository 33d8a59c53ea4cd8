"""A bare Debian is set up, restored, upgraded and set back by the documents' lines.

`make test-install` runs it, as root; the service and PM2 belong to the user of mPanel's backend.
"""

import json
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.resources import ROOT
from stripe_sandbox import Sandbox
from stripe_sandbox.client import SandboxClient
from tests.install.buyer import buy, wait_until_active
from tests.install.documents import blocks, filled_in
from tests.install.machine import CHECKOUT, REPOSITORY, USER, Machine
from tests.pm2.load import Load
from tests.ports import unused_port

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
mv ~/.env .
.venv/bin/mpanel-billing migrate up
.venv/bin/mpanel-billing catalog apply
.venv/bin/mpanel-billing catalog push
pm2 start ecosystem.config.js
"""

MAIN_IS = f"git --git-dir=/{REPOSITORY} branch --force main {{}}"
HEADS = f"git -C /{CHECKOUT} rev-parse HEAD; git --git-dir=/{REPOSITORY} rev-parse {{}}"
DOCTOR = f"/{CHECKOUT}/.venv/bin/mpanel-billing doctor --json 2>/dev/null || true"

COUNT_EVENTS = """
psql -tA mpanel <<< "SELECT count(*) FROM stripe_events WHERE id LIKE 'evt_load%'"
"""

CONNECTED = """
psql -tA mpanel <<< "SELECT DISTINCT usename FROM pg_stat_activity
    WHERE datname = 'mpanel' AND pid <> pg_backend_pid()"
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

    async def type_in(self, block: str, *, user: str = USER) -> str:
        values = {
            "<this repository>": f"file:///{REPOSITORY}",
            "<your host>": f"127.0.0.1:{self.nginx_port}",
            "<user>": USER,
            "<url of the owner>": self.database_url("mpanel"),
        }
        # neither the sandbox nor this nginx speaks TLS
        script = filled_in(block, values).replace("https://", "http://")
        return await self.machine.run(script, user=user)

    def database_url(self, role: str) -> str:
        return self.postgres.url("mpanel").replace("postgres@", f"{role}@")

    def fill_in_settings(self) -> None:
        self.machine.set(
            {
                "DATABASE_URL": self.database_url("mpanel"),
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
    machine = Machine(Path(os.environ["MACHINE"]), server.endpoint.port)
    machine.put_postgres()
    await machine.add_user()
    await machine.run("createuser mpanel; createdb --owner=mpanel mpanel")
    panel = Panel(machine, server, sandbox, stripe, unused_port(), unused_port())
    location = next(block for block in blocks(README, "Install next to mPanel", "nginx"))
    await machine.serve_by_nginx(location.replace(DEFAULT_PORT, str(panel.port)), panel.nginx_port)
    yield panel
    server.stop()


async def test_the_documents_install_restore_upgrade_and_go_back(panel: Panel) -> None:
    await install(panel)
    await restore_a_backup(panel)
    await remove(panel)
    await start_older_release(panel)
    sold = await buy(panel.url, panel.stripe)
    secret = panel.machine.setting("STRIPE_WEBHOOK_SECRET")
    async with Load(panel.nginx_port, secret, connections=1) as load:
        for change in (upgrade, go_back, upgrade_with_roles):
            before = len(load.accepted)
            await change(panel)
            await buy(panel.url, panel.stripe)
            assert len(load.accepted) > before
    assert load.failures == []
    assert int(await panel.machine.run(COUNT_EVENTS)) == len(load.accepted)
    await wait_until_active(panel.url, sold)


async def install(panel: Panel) -> None:
    """Follow the README, fill in .env where it says so, and sell a plan."""
    needs, folder, checkout, before_secret, rest = blocks(README, "Install next to mPanel")
    await panel.type_in(needs, user="root")
    await panel.type_in(folder, user="root")
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
    await panel.machine.run(f"pm2 delete all; cd /{CHECKOUT}; mv .env ~; rm -rf * .[!.]*")
    await panel.machine.run("dropdb --force mpanel; createdb --owner=mpanel mpanel")


async def start_older_release(panel: Panel) -> None:
    await panel.machine.run(MAIN_IS.format("older"))
    await panel.machine.run(OLDER_RELEASE)


async def upgrade(panel: Panel) -> None:
    await panel.machine.run(MAIN_IS.format("present"))
    await panel.follow(DEPLOYMENT, "Updating")
    await check_release(panel, "present")


async def go_back(panel: Panel) -> None:
    await panel.follow(DEPLOYMENT, "The way back")
    await check_release(panel, "older")


async def check_release(panel: Panel, name: str) -> None:
    checked_out, wanted = (await panel.machine.run(HEADS.format(name))).split()
    assert checked_out == wanted


async def upgrade_with_roles(panel: Panel) -> None:
    """Upgrade again, and let the processes run as a role that may do what they need."""
    (role,) = blocks(DEPLOYMENT, "Roles of the database", "sql")
    await panel.machine.run(f"psql -v ON_ERROR_STOP=1 mpanel <<< '{role}'")
    await panel.machine.run(f"cd /{CHECKOUT}; git checkout main; git pull; make install")
    panel.machine.set({"DATABASE_URL": panel.database_url("mpanel_billing")})
    await panel.follow(DEPLOYMENT, "Roles of the database")
    assert await panel.machine.run(CONNECTED) == "mpanel_billing\n"
    found = json.loads(await panel.machine.run(f"cd /{CHECKOUT}; {DOCTOR}"))
    rights = {one["name"]: one for one in found["findings"]}["database rights"]
    assert rights["status"] == "ok", rights
