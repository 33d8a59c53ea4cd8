"""The whole web service for a test: real app, a database of its own, a sandbox of Stripe."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from pydantic import BaseModel

from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.dev.data import exclusively
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.http.app import create_app
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import StripeGateway, open_gateway
from stripe_sandbox import Choices, Dunning, Sandbox, SandboxConfig, running_sandbox
from stripe_sandbox.client import PayResult, SandboxClient
from tests.postgres import Databases, Stocked, stocked_of
from tests.roles import WEB_ROLE, settings_under

WEBHOOK_SECRET = "whsec_of_the_tests"
SITE = "https://migrahosting.test"
"""An origin that CORS_ORIGIN allows, in addition to APP_URL's."""

FAST_RETRIES = (0.02, 0.05, 0.1, 0.2, 0.5)

AppClient = TestClient[web.Request, web.Application]


@dataclass(frozen=True)
class Service:
    """The service as a test meets it, with one browser; `cookies` are what it has been given."""

    client: AppClient
    sandbox: Sandbox
    stripe: SandboxClient
    pool: Pool
    settings: Settings
    cookies: dict[str, str] = field(default_factory=dict)

    async def order(self, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        """Post an order that must be accepted, and return the answer.

        It comes from the browser, unless `headers` has a Cookie of its own.
        """
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {"Cookie": cookies} | headers
        answer = await self.client.post(CREATE_SESSION, json=body, headers=sent)
        content: dict[str, Any] = await answer.json()
        assert answer.status == 200, content
        if "Cookie" not in headers:
            self.cookies.update({name: each.value for name, each in answer.cookies.items()})
        return content

    async def order_elsewhere(self, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        """Post an order from another browser, which has not ordered before."""
        return await self.order(body, **{"Cookie": "", "User-Agent": "another"} | headers)

    async def buy(self, body: dict[str, Any], card: str = "4242424242424242") -> dict[str, Any]:
        """Order, pay, and wait until every webhook is delivered."""
        answer = await self.order(body)
        paid: PayResult = await self.stripe.pay(answer["url"], card)
        assert paid.status == 303, paid
        await self.stripe.wait_idle()
        return answer

    async def row(self, query: str, *args: object) -> asyncpg.Record:
        """Read the one row of a query."""
        rows = await self.pool.fetch(query, *args)
        assert len(rows) == 1, rows
        return rows[0]


CREATE_SESSION = "/api/checkout/create-session"

ORDER: dict[str, Any] = {
    "planId": "starter",
    "billingCycle": "monthly",
    "trialActive": False,
    "addonIds": ["addon-backups-daily"],
    "couponCode": None,
    "customer": {"name": "Ada Lovelace", "email": "ada@example.com"},
    "domain": {"mode": "later", "value": ""},
}


@pytest.fixture
def choices() -> Choices:
    """How Stripe behaves where it could behave in two ways (docs/sandbox.md)."""
    return Choices()


@pytest.fixture
def dunning() -> Dunning:
    """What Stripe does after a failed renewal, as it is set in its Dashboard."""
    return Dunning()


@pytest.fixture
async def sandbox(
    request: pytest.FixtureRequest, run_dir: Path, choices: Choices, dunning: Dunning
) -> AsyncIterator[Sandbox]:
    """Stripe, selling what the database sells; its state is kept where the database is: in memory.

    On a disk, each file that is made and removed is waited for.
    """
    stocked = stocked_of(request)
    with TemporaryDirectory(dir=run_dir) as folder:
        state = None
        if stocked and stocked.sandbox_state:
            state = Path(shutil.copy(stocked.sandbox_state, folder))
        config = SandboxConfig(
            retry_delays=FAST_RETRIES, state_file=state, choices=choices, dunning=dunning
        )
        async with running_sandbox(config) as running:
            yield running


@pytest.fixture
async def stripe(sandbox: Sandbox) -> AsyncIterator[SandboxClient]:
    async with SandboxClient(sandbox.url) as client:
        yield client


class _GivenSettings(Settings):
    def __init__(self, **values: Any) -> None:
        """Take the values without looking for more of them: that took ten times as long."""
        BaseModel.__init__(self, **values)


def make_settings(**values: Any) -> Settings:
    """Settings that no environment and no .env has touched.

    Connections are opened when they are needed: most tests need fewer than processes do.
    """
    given = {
        "database_url": "postgresql://nobody@127.0.0.1:1/nothing",
        "stripe_secret_key": "sk_test_of_the_tests",
        "stripe_webhook_secret": WEBHOOK_SECRET,
        "app_url": "http://panel.test",
        "cors_origin": SITE,
        "rate_limit_orders": "off",
        "rate_limit_lookups": "off",
        "rate_limit_wrong_codes": "off",
        "database_pool_min": 0,
    }
    return _GivenSettings(**given | values)


def make_app(settings: Settings, role: str = WEB_ROLE) -> web.Application:
    """The app with the role of web processes; a route that breaks its declaration fails."""
    return create_app(settings_under(settings, role), strict=True)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections to the test's database as its owner."""
    async with await create_pool(make_settings(database_url=database_url)) as opened:
        yield opened


@pytest.fixture
def settings(database_url: str, sandbox: Sandbox) -> Settings:
    return make_settings(database_url=database_url, stripe_api_base=sandbox.url)


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[StripeGateway]:
    opened = open_gateway(settings)
    yield opened
    await opened.close()


async def sell_default_catalogue(pool: Pool, gateway: StripeGateway) -> None:
    """Write the default catalogue into the database, and push it to Stripe."""
    await apply_catalogue(pool, read_catalogue_file(DEFAULT_CATALOGUE))
    await push_catalogue(pool, StripeCatalogue(gateway.client), livemode=False)


async def _stock(database_url: str, sandbox_state: Path) -> None:
    async with running_sandbox(SandboxConfig(state_file=sandbox_state)) as sandbox:
        settings = make_settings(database_url=database_url, stripe_api_base=sandbox.url)
        gateway = open_gateway(settings)
        async with await create_pool(settings) as pool:
            await sell_default_catalogue(pool, gateway)
        await gateway.close()


@pytest.fixture(scope="session")
def stocked(
    postgres: EmbeddedPostgres, databases: Databases, template: str, run_dir: Path
) -> Stocked:
    """The default catalogue, pushed once in a run: each test would spend 0.2 s of CPU on it."""
    stocked = Stocked("billing_stocked", run_dir / "stocked.sqlite")
    with exclusively(run_dir / "lock"):
        if not (run_dir / "stocked").exists():
            databases.execute(f"DROP DATABASE IF EXISTS {stocked.template}")
            databases.execute(f"CREATE DATABASE {stocked.template} TEMPLATE {template}")
            asyncio.run(_stock(postgres.url(stocked.template), stocked.sandbox_state))
            (run_dir / "stocked").touch()
    return stocked


@pytest.fixture
def offers(stocked: Stocked) -> None:
    """The default catalogue, in the database and at Stripe.

    `database_url` and `sandbox` copy `stocked` for a test that asks for it.
    """


@pytest.fixture
async def service(
    *,
    settings: Settings,
    sandbox: Sandbox,
    stripe: SandboxClient,
    pool: Pool,
    offers: None,
    aiohttp_client: Callable[..., Awaitable[AppClient]],
) -> Service:
    """The running service, selling the default catalogue; the sandbox sends it webhooks."""
    client = await aiohttp_client(make_app(settings))
    sandbox.add_webhook(str(client.make_url("/api/webhooks/stripe")), WEBHOOK_SECRET)
    return Service(client, sandbox, stripe, pool, settings)


@pytest.fixture
def order_a() -> dict[str, Any]:
    """An order as the specification has it, without a trial."""
    return deepcopy(ORDER)
