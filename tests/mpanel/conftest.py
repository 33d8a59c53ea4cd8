"""mPanel's own database: before our migrations, and after them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from mpanel_billing.database.migrations import migrate
from mpanel_billing.database.pool import Pool
from mpanel_billing.dev.data import exclusively
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.provisioning.converge import Provisioning
from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.provisioning.drivers.log import LogDriver
from mpanel_billing.provisioning.drivers.registry import ConcurrencyLimit, Drivers, LimitedDriver
from mpanel_billing.stripe_gateway.gateway import StripeGateway, open_gateway
from tests.mpanel.databases import (
    LATER_COLUMNS,
    OWNER,
    ROWS,
    SCHEMA,
    as_role,
    create_role,
    give_to_owner,
    run_files,
)
from tests.postgres import Databases
from tests.roles import grant_to_roles
from tests.service import Service, sell_default_catalogue

Clone = Callable[[str], str]


async def _build(postgres: EmbeddedPostgres) -> None:
    """Make the templates that `clone` copies."""
    create_role(postgres, OWNER)

    async def make(name: str, *files: Path, base: str | None = None, ours: bool = False) -> None:
        postgres.drop_database(name)
        postgres.create_database(name, base)
        give_to_owner(postgres, name)
        url = as_role(postgres.url(name), OWNER)
        await run_files(url, files)
        if ours:
            await migrate(url)
            await grant_to_roles(url, OWNER)

    await make("mpanel", SCHEMA, ROWS)
    await make("mpanel_later", LATER_COLUMNS, base="mpanel")
    await make("mpanel_migrated", base="mpanel_later", ours=True)
    await make("mpanel_migrated_empty", SCHEMA, LATER_COLUMNS, ours=True)


@pytest.fixture(scope="session")
def mpanel_templates(postgres: EmbeddedPostgres, run_dir: Path) -> None:
    with exclusively(run_dir / "mpanel.lock"):
        if not (run_dir / "mpanel").exists():
            asyncio.run(_build(postgres))
            (run_dir / "mpanel").touch()


@pytest.fixture
def clone(databases: Databases, mpanel_templates: None) -> Iterator[Clone]:
    """Copies a template; returns the owner's URL."""
    with ExitStack() as stack:

        def copy(template: str) -> str:
            url = stack.enter_context(databases.opened(template, owner=OWNER))
            return as_role(url, OWNER)

        yield copy


@pytest.fixture(params=["mpanel", "mpanel_later"])
def mpanel_url(clone: Clone, request: pytest.FixtureRequest) -> str:
    """mPanel's database without anything of ours; without and with its later columns."""
    return clone(request.param)


@pytest.fixture
def database_url(clone: Clone) -> str:
    """mPanel's database with our schema: whatever runs on an empty one runs on this, too."""
    return clone("mpanel_migrated")


@pytest.fixture
async def offers(pool: Pool, gateway: StripeGateway) -> None:
    """The default catalogue, in mPanel's database and at Stripe."""
    await sell_default_catalogue(pool, gateway)


@pytest.fixture
async def provisioning(service: Service) -> AsyncIterator[Provisioning]:
    """What the worker has: the log driver, and the running service's database and Stripe."""
    gateway = open_gateway(service.settings)
    yield Provisioning(
        service.pool,
        gateway,
        Drivers(LimitedDriver(LogDriver(), ConcurrencyLimit(10))),
        Policy(grace=timedelta(days=7), retention=timedelta(days=30)),
        "panel.test",
        livemode=False,
    )
    await gateway.close()
