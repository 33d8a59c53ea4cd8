"""The sandbox's page in a real browser: small screen, keyboard, accessibility."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientSession
from selenium.webdriver.common.keys import Keys

from stripe_sandbox import Sandbox, SandboxConfig, running_sandbox
from stripe_sandbox.client import SandboxClient
from tests.browser.accessibility import violations
from tests.browser.conftest import Browser
from tests.stripe_sandbox.test_fixtures import SHOP

pytestmark = pytest.mark.browser


@dataclass(frozen=True)
class Filled:
    sandbox: Sandbox
    driver: SandboxClient
    made: dict[str, Any]


@pytest.fixture
async def filled() -> AsyncIterator[Filled]:
    async with running_sandbox(SandboxConfig()) as sandbox, SandboxClient(sandbox.url) as driver:
        sandbox.add_webhook("http://127.0.0.1:9/a-rather-long-address-of-a-receiver", "whsec_x")
        made = await driver.load_fixtures(SHOP)
        clock = {"path": "/v1/test_helpers/test_clocks", "params": {"frozen_time": 1_767_225_600}}
        made |= await driver.load_fixtures({"fixtures": [{"name": "test", **clock}]})
        yield Filled(sandbox, driver, made)


def pages(filled: Filled) -> list[str]:
    lists = ("customers", "subscriptions", "invoices", "events", "clocks", "requests")
    events = (one["id"] for one in filled.sandbox.world.store.all("event"))
    made = (filled.made[name]["id"] for name in ("ada", "running", "test"))
    objects = [*made, next(events), "cus_none"]
    return ["/", *(f"/dashboard/{name}" for name in (*lists, *(f"objects/{i}" for i in objects)))]


async def test_every_page_fits_a_small_screen_and_is_accessible(
    browser: Browser, filled: Filled
) -> None:
    await browser.resize(360, 740)
    for path in pages(filled):
        await browser.open(filled.sandbox.url + path)
        assert await browser.run("return document.documentElement.scrollWidth") <= 360, path
        assert await violations(browser) == [], path


async def test_the_customer_portal_fits_a_small_screen_and_is_accessible(
    browser: Browser, filled: Filled
) -> None:
    headers = {"Authorization": "Bearer sk_test_x"}
    asked = {"customer": filled.made["ada"]["id"], "return_url": "https://panel.test/"}
    async with (
        ClientSession(filled.sandbox.url, headers=headers) as session,
        session.post("/v1/billing_portal/sessions", data=asked) as answer,
    ):
        portal = await answer.json()
    await browser.resize(360, 740)
    await browser.open(portal["url"])
    assert await browser.run("return document.documentElement.scrollWidth") <= 360
    assert await violations(browser) == []


async def test_a_keyboard_alone_moves_the_clock_and_finds_an_object(
    browser: Browser, filled: Filled
) -> None:
    before = await filled.driver.now()
    await browser.open(filled.sandbox.url)
    button = await browser.find("button[value=day]")
    await asyncio.to_thread(button.send_keys, Keys.ENTER)
    async with asyncio.timeout(30):
        while await filled.driver.now() < before + 86_400:
            pass
    field = await browser.find("#id")
    customer = filled.made["ada"]["id"]
    await asyncio.to_thread(field.send_keys, customer, Keys.ENTER)
    await browser.until(lambda driver: driver.title.startswith(customer))
    unreachable = await browser.run(
        "return [...document.querySelectorAll('a, button, input')]"
        ".filter((e) => e.tabIndex < 0).length"
    )
    assert unreachable == 0
