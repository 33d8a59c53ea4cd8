"""The marketing site is on another origin: its browser code must be able to read us."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.browser.conftest import Browser, Shop
from tests.browser.test_storefront import GOOD_CARD, pay

pytestmark = pytest.mark.browser

ORDER = """
const [url, body] = arguments;
const answer = await fetch(url, {
  method: "POST",
  credentials: "include",
  headers: {"Content-Type": "application/json"},
  body,
});
return [answer.status, await answer.json()];
"""
SHAPE_A = {
    "planId": "starter",
    "billingCycle": "monthly",
    "trialActive": True,
    "addonIds": ["addon-backups-daily"],
    "couponCode": "WELCOME10",
    "customer": {"name": "Ada Lovelace", "email": "ada@example.com"},
    "domain": {"mode": "new-or-transfer", "value": "adalovelace.com"},
}
SHAPE_B = {
    "planId": "premium",
    "billingCycle": "yearly",
    "trialActive": False,
    "customer": {"email": "grace@example.com", "name": "Grace Hopper", "country": "US"},
    "cartItems": [
        {"id": "hosting:premium:annually", "type": "hosting", "plan": "premium"},
        {"id": "domain-gracehopper.com", "type": "domain", "domain": "gracehopper.com"},
        {"id": "addon-priority-support", "type": "addon", "price": 1999, "interval": "month"},
    ],
}


@pytest.fixture
async def site(
    site_port: int, aiohttp_server: Callable[..., Awaitable[TestServer]], browser: Browser
) -> str:
    """Another origin, on which the browser has a page open."""

    async def show(_: web.Request) -> web.Response:
        return web.Response(text="<!doctype html><title>Site</title>", content_type="text/html")

    app = web.Application()
    app.router.add_get("/{path:.*}", show)
    await aiohttp_server(app, port=site_port)
    origin = f"http://localhost:{site_port}"
    await browser.open(f"{origin}/checkout")
    return origin


async def post(browser: Browser, shop: Shop, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    url = f"{shop.url}/api/checkout/create-session"
    status, answer = await browser.run(ORDER, url, json.dumps(body))
    return status, answer


@pytest.mark.parametrize("body", [SHAPE_A, SHAPE_B])
async def test_a_page_of_the_site_sells(
    browser: Browser, shop: Shop, site: str, body: dict[str, Any]
) -> None:
    status, answer = await post(browser, shop, body | {"success_url": f"{site}/checkout/success"})
    assert status == 200, answer
    await browser.open(answer["url"])
    await pay(browser, GOOD_CARD)
    landed = f"{site}/checkout/success?session_id={answer['sessionId']}"
    await browser.until(lambda driver: driver.current_url == landed)


async def test_a_page_of_the_site_reads_what_is_wrong(
    browser: Browser, shop: Shop, site: str
) -> None:
    status, answer = await post(browser, shop, SHAPE_A | {"planId": "none"})
    assert status == 422
    assert answer["error"].startswith('Unknown plan "none".')
