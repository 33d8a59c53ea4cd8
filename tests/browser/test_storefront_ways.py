"""The ways on from an order that is not ready: back to its payment, to the shop, to a person."""

import pytest

from tests.browser.conftest import Browser, Shop
from tests.browser.test_storefront import order, reading_german

pytestmark = pytest.mark.browser

UNPAID = "#unpaid:not([hidden]) a"
WITHOUT_STORAGE = """
    Object.defineProperty(window, "localStorage", {
      get() { throw new DOMException("denied", "SecurityError"); },
    });
"""
HELD_BACK = """
    const set = window.setTimeout;
    window.setTimeout = (call, wait, ...more) => {
      if (wait !== 60000) return set(call, wait, ...more);
      window.afterAMinute = call;
    };
"""


def session_of(browser: Browser) -> str:
    return browser.driver.current_url.rsplit("/", 1)[-1].partition("#")[0]


async def test_the_browsers_back_says_that_the_order_is_not_paid(
    browser: Browser, shop: Shop
) -> None:
    await order(browser, shop, trial=False)
    page = browser.driver.current_url
    browser.driver.back()
    assert await browser.run("return arguments[0].href", await browser.find(UNPAID)) == page


async def test_a_page_that_comes_back_as_it_was_looks_for_the_unpaid_order(
    browser: Browser, shop: Shop
) -> None:
    await order(browser, shop, trial=False)
    await browser.open(f"{shop.url}/demo")
    await browser.find(UNPAID)
    await browser.run("document.querySelector('#unpaid').hidden = true")
    await browser.run("dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    await browser.find(UNPAID)


async def test_another_browser_is_told_where_to_pay_and_not_given_the_way(
    browser: Browser, shop: Shop
) -> None:
    await order(browser, shop, trial=False)
    page, session = browser.driver.current_url, session_of(browser)
    await browser.open(f"{shop.url}/demo")
    await browser.run("localStorage.clear()")
    await browser.open(f"{shop.url}/demo/success?session_id={session}")
    await browser.find("body[data-status=provisional]")
    assert "in the browser in which you ordered" in await browser.text_of("#elsewhere")
    assert await browser.text_of("#order-again:not([hidden])") == "Order again"
    assert not await browser.run("return document.querySelector('#go-on').checkVisibility()")
    assert page not in await browser.run("return document.documentElement.outerHTML")


async def test_a_browser_that_stores_nothing_orders_and_is_told_the_same(
    browser: Browser, shop: Shop
) -> None:
    added = browser.driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": WITHOUT_STORAGE}
    )
    try:
        await order(browser, shop, trial=False)
        session = session_of(browser)
        await browser.open(f"{shop.url}/demo/success?session_id={session}")
        await browser.find("#elsewhere:not([hidden])")
        assert await browser.run("return document.querySelector('#error').textContent") == ""
    finally:
        browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


@pytest.mark.parametrize("german", [False, True])
async def test_who_waits_long_reads_whom_to_write_to(
    browser: Browser, shop: Shop, *, german: bool
) -> None:
    await order(browser, shop, trial=False)
    session = session_of(browser)
    added = browser.driver.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": HELD_BACK}
    )
    try:
        if german:
            async with reading_german(browser):
                await wait_long(browser, shop, session)
                assert "schreiben" in await browser.text_of("#slow")
        else:
            await wait_long(browser, shop, session)
        order_id = await shop.pool.fetchval("SELECT id::text FROM subscriptions")
        assert order_id in await browser.text_of("#slow")
        contact = await browser.find("#slow a")
        href = await browser.run("return arguments[0].href", contact)
        assert href.startswith("mailto:support@migrahosting.example?subject=")
        assert href.endswith(order_id)
    finally:
        browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)


async def wait_long(browser: Browser, shop: Shop, session: str) -> None:
    await browser.open(f"{shop.url}/demo/success?session_id={session}")
    await browser.find("body[data-status=provisional]")
    await browser.run("afterAMinute()")
