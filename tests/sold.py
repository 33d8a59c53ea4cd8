"""A subscription that is sold once in a run, for the tests that begin with one: they get copies."""

import asyncio
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from mpanel_billing.database.pool import create_pool
from mpanel_billing.dev.data import exclusively
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.stripe_gateway.gateway import open_gateway
from stripe_sandbox import SandboxConfig, running_sandbox
from stripe_sandbox.client import SandboxClient
from tests.inline_worker import worker_of
from tests.postgres import Databases, Stocked
from tests.service import ORDER, WEBHOOK_SECRET, Service, make_app, make_settings


@dataclass(frozen=True)
class Sold(Stocked):
    """A paid, provisioned subscription, and the cookies of the browser that ordered it."""

    subscription_id: str
    cookies: Mapping[str, str]


@pytest.fixture(scope="session")
def sold_once(
    postgres: EmbeddedPostgres, databases: Databases, stocked: Stocked, run_dir: Path
) -> Sold:
    """Starter, monthly, with daily backups.

    `database_url` and `sandbox` copy it for a test that asks for it.
    """
    name, state, facts = "billing_sold", run_dir / "sold.sqlite", run_dir / "sold"
    with exclusively(run_dir / "lock"):
        if not facts.exists():
            databases.execute(f"DROP DATABASE IF EXISTS {name}")
            databases.execute(f"CREATE DATABASE {name} TEMPLATE {stocked.template}")
            shutil.copy(stocked.sandbox_state, state)
            written = asyncio.run(_sell(postgres.url(name), state))
            facts.write_text(json.dumps(written))
    return Sold(name, state, **json.loads(facts.read_text()))


async def _sell(database_url: str, sandbox_state: Path) -> dict[str, Any]:
    async with running_sandbox(SandboxConfig(state_file=sandbox_state)) as sandbox:
        settings = make_settings(database_url=database_url, stripe_api_base=sandbox.url)
        gateway = open_gateway(settings)
        async with (
            await create_pool(settings) as pool,
            SandboxClient(sandbox.url) as stripe,
            TestClient(TestServer(make_app(settings))) as client,
        ):
            sandbox.add_webhook(str(client.make_url("/api/webhooks/stripe")), WEBHOOK_SECRET)
            service = Service(client, sandbox, stripe, pool, settings)
            order = await service.buy(ORDER)
            await worker_of(service, gateway, pool).catch_up()
        await gateway.close()
    return {"subscription_id": order["subscriptionId"], "cookies": service.cookies}
