"""What many tests begin with, made once in a run: a database, and the state of its sandbox.

A stock is a session's fixture, which `STOCKS` names. A test that asks for it, itself or by other
fixtures, gets copies: of the database by `database_url`, of the state by `sandbox`.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.dev.data import exclusively
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.stripe_gateway.gateway import open_gateway
from stripe_sandbox import SandboxConfig, running_sandbox
from stripe_sandbox.client import SandboxClient
from tests.inline_worker import InlineWorker, worker_of
from tests.postgres import Databases, Stocked
from tests.roles import GRANTED_TEMPLATES
from tests.service import WEBHOOK_SECRET, Service, make_app, make_settings


@dataclass(frozen=True)
class Stocks:
    """Makes stocks out of others."""

    postgres: EmbeddedPostgres
    databases: Databases
    run_dir: Path

    def filled(
        self, name: str, base: Stocked, fill: Callable[[InlineWorker], Awaitable[Any]]
    ) -> tuple[Stocked, Any]:
        """Fill a copy of another stock; returns it, and what `fill` has returned, by JSON."""
        begun, state = base.sandbox_state, self.run_dir / f"{name}.sqlite"
        assert begun

        async def run(database_url: str) -> Any:
            shutil.copy(begun, state)
            async with _running(database_url, state) as worker:
                returned = await fill(worker)
                await worker.service.stripe.wait_idle()
            return returned

        database, returned = self._once(name, base.template, run)
        return Stocked(database, state), returned

    def written(
        self, name: str, template: str, write: Callable[[Pool], Awaitable[None]]
    ) -> Stocked:
        """Write to a copy of a database; its sandbox begins with nothing."""

        async def run(database_url: str) -> None:
            async with await create_pool(make_settings(database_url=database_url)) as pool:
                await write(pool)

        return Stocked(self._once(name, template, run)[0], None)

    def _once(
        self, name: str, template: str, run: Callable[[str], Coroutine[Any, Any, Any]]
    ) -> tuple[str, Any]:
        database, returned = f"billing_{name}", self.run_dir / name
        with exclusively(self.run_dir / "lock"):
            if not returned.exists():
                self.databases.execute(f"DROP DATABASE IF EXISTS {database}")
                self.databases.execute(f"CREATE DATABASE {database} TEMPLATE {template}")
                found = asyncio.run(run(self.postgres.url(database)))
                returned.write_text(json.dumps(found))
        GRANTED_TEMPLATES.add(database)
        return database, json.loads(returned.read_text())


@pytest.fixture(scope="session")
def stocks(postgres: EmbeddedPostgres, databases: Databases, run_dir: Path) -> Stocks:
    return Stocks(postgres, databases, run_dir)


@asynccontextmanager
async def _running(database_url: str, sandbox_state: Path) -> AsyncIterator[InlineWorker]:
    """Run the service on a stock itself, with a worker."""
    async with running_sandbox(SandboxConfig(state_file=sandbox_state)) as sandbox:
        settings = make_settings(database_url=database_url, stripe_api_base=sandbox.url)
        async with (
            open_gateway(settings) as gateway,
            await create_pool(settings) as pool,
            SandboxClient(sandbox.url) as stripe,
            TestClient(TestServer(make_app(settings))) as client,
        ):
            sandbox.add_webhook(str(client.make_url("/api/webhooks/stripe")), WEBHOOK_SECRET)
            yield worker_of(Service(client, sandbox, stripe, pool, settings), gateway, pool)
