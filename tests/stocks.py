"""What many tests begin with, made once in a run: a database, and the state of its sandbox.

A stock is a session's fixture, which `STOCKS` names. A test that asks for it, itself or by other
fixtures, gets copies: of the database by `database_url`, of the state by `sandbox`.
"""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
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
        new = Stocked(f"billing_{name}", self.run_dir / f"{name}.sqlite")
        returned = self.run_dir / name
        with exclusively(self.run_dir / "lock"):
            if not returned.exists():
                self.databases.execute(f"DROP DATABASE IF EXISTS {new.template}")
                self.databases.execute(f"CREATE DATABASE {new.template} TEMPLATE {base.template}")
                shutil.copy(base.sandbox_state, new.sandbox_state)
                found = asyncio.run(_filled(self.postgres.url(new.template), new, fill))
                returned.write_text(json.dumps(found))
        GRANTED_TEMPLATES.add(new.template)
        return new, json.loads(returned.read_text())


@pytest.fixture(scope="session")
def stocks(postgres: EmbeddedPostgres, databases: Databases, run_dir: Path) -> Stocks:
    return Stocks(postgres, databases, run_dir)


async def _filled(
    database_url: str, stock: Stocked, fill: Callable[[InlineWorker], Awaitable[Any]]
) -> Any:
    async with _running(database_url, stock) as worker:
        return await fill(worker)


@asynccontextmanager
async def _running(database_url: str, stock: Stocked) -> AsyncIterator[InlineWorker]:
    """Run the service on a stock itself, with a worker."""
    async with running_sandbox(SandboxConfig(state_file=stock.sandbox_state)) as sandbox:
        settings = make_settings(database_url=database_url, stripe_api_base=sandbox.url)
        async with (
            open_gateway(settings) as gateway,
            await create_pool(settings) as pool,
            SandboxClient(sandbox.url) as stripe,
            TestClient(TestServer(make_app(settings))) as client,
        ):
            sandbox.add_webhook(str(client.make_url("/api/webhooks/stripe")), WEBHOOK_SECRET)
            yield worker_of(Service(client, sandbox, stripe, pool, settings), gateway, pool)
