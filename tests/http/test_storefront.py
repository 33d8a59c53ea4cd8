import re
from collections.abc import Awaitable, Callable

import pytest

from mpanel_billing import money
from mpanel_billing.http.routes.storefront import FILES
from mpanel_billing.settings import Settings
from tests.service import AppClient, make_app, make_settings


@pytest.fixture
async def shop(
    settings: Settings, offers: None, aiohttp_client: Callable[..., Awaitable[AppClient]]
) -> AppClient:
    demo = settings.model_copy(update={"demo": True})
    return await aiohttp_client(make_app(demo))


@pytest.mark.parametrize("path", ["/demo", "/demo/success", "/checkout/success"])
async def test_the_pages_are_there(shop: AppClient, path: str) -> None:
    answer = await shop.get(path)
    assert answer.status == 200
    assert answer.content_type == "text/html"
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]


@pytest.mark.parametrize("name", ["storefront.css", "shop.js", "success.js", "money.js"])
async def test_their_files_are_there(shop: AppClient, name: str) -> None:
    assert (await shop.get(f"/demo/assets/{name}")).status == 200


@pytest.mark.parametrize("name", ["..%2f..%2forchestrator.py", "shop.html", "none"])
async def test_no_other_file_is(shop: AppClient, name: str) -> None:
    assert (await shop.get(f"/demo/assets/{name}")).status == 404


def test_the_pages_know_the_decimals_of_each_currency() -> None:
    text = (FILES / "money.js").read_text()
    none, three = (set(found.split()) for found in re.findall(r'= "([a-z ]+)"\.split', text))
    assert none == money.ZERO_DECIMAL
    assert three == money.THREE_DECIMAL


async def test_a_buyer_who_leaves_the_payment_page_is_back_in_the_shop(shop: AppClient) -> None:
    answer = await shop.get("/pricing", allow_redirects=False)
    assert (answer.status, answer.headers["Location"]) == (302, "/demo")


async def test_in_production_there_is_no_storefront(
    aiohttp_client: Callable[..., Awaitable[AppClient]],
) -> None:
    client = await aiohttp_client(make_app(make_settings()))
    for path in ("/demo", "/demo/success", "/checkout/success", "/demo/extras", "/pricing"):
        assert (await client.get(path)).status == 404
