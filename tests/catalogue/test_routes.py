"""The bridge over HTTP: cacheable, and never behind the catalogue."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.pool import Pool
from mpanel_billing.resources import DEFAULT_CATALOGUE
from tests.service import AppClient, make_app, make_settings


@pytest.fixture
async def client(
    pool: Pool,
    database_url: str,
    shipped: CatalogueFile,
    aiohttp_client: Callable[..., Awaitable[AppClient]],
) -> AppClient:
    await apply_catalogue(pool, shipped)
    return await aiohttp_client(make_app(make_settings(database_url=database_url)))


async def get_json(client: AppClient, path: str) -> Any:
    async with client.get(path) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        return await response.json()


async def test_the_three_routes_serve_the_catalogue(client: AppClient) -> None:
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
async def test_a_response_is_sent_again_only_if_it_has_changed(
    client: AppClient, pool: Pool, path: str
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
    async with asyncio.timeout(30):  # until the notification comes
        while (third := await client.get(path, headers={"If-None-Match": etag})).status == 304:
            pass
    assert third.status == 200
    assert third.headers["ETag"] != etag
    assert "8.99" in await third.text()
