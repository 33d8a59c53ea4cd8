"""The app with keys of the settings, and others in its database."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.key import Limits, Scope
from mpanel_billing.access.keys import IssuedKey, create_key
from mpanel_billing.database.pool import Pool
from tests.service import AppClient, make_app, make_settings

GRACE = Actor("cli:grace@panel")
ADMIN_KEY = "a" * 32
BILLING_KEY = "b" * 32

Clients = Callable[..., Awaitable[AppClient]]
OpenApp = Callable[..., Awaitable[AppClient]]
Issue = Callable[..., Awaitable[IssuedKey]]


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def open_app(database_url: str, aiohttp_client: Clients) -> OpenApp:
    """Starts a web process of its own: what another one has looked up, it has not."""

    async def open_(**values: object) -> AppClient:
        given = {"database_url": database_url, "admin_api_keys": ADMIN_KEY}
        return await aiohttp_client(make_app(make_settings(**given | values)))

    return open_


@pytest.fixture
async def client(open_app: OpenApp) -> AppClient:
    return await open_app(billing_api_keys=BILLING_KEY)


@pytest.fixture
def issue(pool: Pool) -> Issue:
    """Makes a key with some scopes, named after the first."""

    async def issue_(*scopes: Scope, name: str = "", **limits: Any) -> IssuedKey:
        name = name or scopes[0].replace(":", "-")
        return await create_key(pool, GRACE, name=name, scopes=scopes, limits=Limits(**limits))

    return issue_
