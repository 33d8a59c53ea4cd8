"""The bridge over HTTP: cacheable, and never behind the catalogue."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.pool import Pool
from mpanel_billing.http import keys
from mpanel_billing.http.routes.catalogue import routes
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.settings import Settings

Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def client(
    pool: Pool,
    shipped: CatalogueFile,
    aiohttp_client: Callable[[web.Application], Awaitable[Client]],
) -> Client:
    await apply_catalogue(pool, shipped)
    app = web.Application()
    app[keys.POOL] = pool
    app[keys.SETTINGS] = Settings(
        database_url="postgresql://unused",
        stripe_secret_key="sk_test_1",
        stripe_webhook_secret="whsec_1",
        app_url="http://localhost",
    )
    app.add_routes(routes)
    return await aiohttp_client(app)


async def get_json(client: Client, path: str) -> Any:
    async with client.get(path) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        return await response.json()


async def test_the_three_routes_answer_from_the_catalogue(client: Client) -> None:
    plans = await get_json(client, "/api/public/plans")
    assert [plan["id"] for plan in plans["plans"]][:2] == ["student", "starter"]
    listed = await get_json(client, "/api/marketing-api/products/catalog?category=email")
    assert [product["id"] for product in listed["data"]] == ["mail-basic"]
    product = await get_json(client, "/api/marketing-api/products/addon-cdn-basic")
    assert product["data"]["billing_cycles"]["monthly"] == 5.99


@pytest.mark.parametrize(
    "path",
    [
        "/api/public/plans",
        "/api/marketing-api/products/catalog",
        "/api/marketing-api/products/starter",
    ],
)
async def test_an_answer_is_sent_again_only_when_it_has_changed(
    client: Client, pool: Pool, path: str
) -> None:
    async with client.get(path) as first:
        etag = first.headers["ETag"]
        assert first.headers["Cache-Control"] == "public, no-cache"
    async with client.get(path, headers={"If-None-Match": f'"other", W/{etag}'}) as second:
        assert second.status == 304
        assert second.headers["ETag"] == etag
        assert await second.read() == b""
    text = DEFAULT_CATALOGUE.read_text().replace("monthly = 799,", "monthly = 899,")
    await apply_catalogue(pool, parse_catalogue(text))
    async with client.get(path, headers={"If-None-Match": etag}) as third:
        assert third.status == 200
        assert third.headers["ETag"] != etag
        assert "8.99" in await third.text()
