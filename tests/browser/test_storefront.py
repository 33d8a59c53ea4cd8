"""Buying with a real browser, as a person does."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.browser.conftest import Browser, Shop
from tests.currencies import sell_in_currencies
from tests.usage.conftest import metered_file

pytestmark = pytest.mark.browser

GOOD_CARD = "4242424242424242"
DECLINED_CARD = "4000000000000002"
PAY_BUTTON = "[data-testid='hosted-payment-submit-button']"
READY = "form[data-ready]"


async def order(
    browser: Browser, shop: Shop, *, email: str = "ada@example.com", trial: bool = True
) -> None:
    """Fill in the shop's form and go on to the payment page."""
    await browser.open(f"{shop.url}/demo")
    await browser.find(READY)
    if not trial:
        await browser.click("input[name=trial]")
    await browser.fill("#domain", "adalovelace.com")
    await browser.fill("#name", "Ada Lovelace")
    await browser.fill("#email", email)
    await browser.click("#pay")
    await browser.find("[name=cardNumber]")


async def pay(browser: Browser, card: str) -> None:
    await browser.fill("[name=cardNumber]", card)
    await browser.fill("[name=cardExpiry]", "12 / 34")
    await browser.fill("[name=cardCvc]", "123")
    await browser.fill("[name=billingName]", "Ada Lovelace")
    await browser.click(PAY_BUTTON)


async def test_a_good_card_ends_with_a_tenant(browser: Browser, shop: Shop) -> None:
    await order(browser, shop)
    await pay(browser, GOOD_CARD)
    await browser.find("body[data-status=active]")
    assert "Everything is ready." in await browser.text_of("#status")
    assert "adalovelace.com is ready" in await browser.text_of("#step-tenant")
    row = await shop.pool.fetchrow(
        "SELECT s.status, t.domain FROM subscriptions s JOIN tenants t ON t.id = s.tenant_id"
    )
    assert row is not None
    assert tuple(row) == ("active", "adalovelace.com")


async def test_a_declined_card_shows_the_error_and_another_one_pays(
    browser: Browser, shop: Shop
) -> None:
    await order(browser, shop)
    await pay(browser, DECLINED_CARD)
    assert "declined" in await browser.text_of("[role=alert]")
    await pay(browser, GOOD_CARD)
    await browser.find("body[data-status=active]")


async def test_an_order_in_the_cart_shape_can_be_bought(browser: Browser, shop: Shop) -> None:
    await browser.open(f"{shop.url}/demo")
    await browser.find(READY)
    await browser.click("input[name=plan][value=premium]")
    await browser.click("input[name=cycle][value=annually]")
    await browser.click("input[name=addon][value=addon-cdn-basic]")
    await browser.click("input[name=shape][value=b]")
    await browser.fill("#coupon", "welcome10")
    await browser.fill("#domain", "bücher.com")
    quoted = await browser.until(
        lambda driver: next(
            (
                cell.text
                for cell in driver.find_elements("css selector", ".bill .total td")
                if cell.text == "$102.38"
            ),
            None,
        )
    )
    assert quoted == "$102.38"
    await browser.fill("#name", "Grace Hopper")
    await browser.fill("#email", "grace@example.com")
    await browser.click("#pay")
    await browser.find("[name=cardNumber]")
    await pay(browser, GOOD_CARD)
    await browser.find("body[data-status=active]")
    assert await shop.pool.fetchval("SELECT amount_paid FROM invoices") == 10238
    assert await shop.pool.fetchval("SELECT domain FROM tenants") == "xn--bcher-kva.com"


async def test_what_is_wrong_is_said_where_it_is(browser: Browser, shop: Shop) -> None:
    await browser.open(f"{shop.url}/demo")
    await browser.find(READY)
    await browser.fill("#domain", "Not A Domain!! ")
    await browser.fill("#name", "Ada")
    await browser.fill("#email", "ada@example.com")
    await browser.click("#pay")
    assert "is not a valid domain name" in await browser.text_of("#error")
    assert await browser.run("return document.activeElement.id") == "domain"


@pytest.mark.parametrize("path", ["/demo", "/demo/success?session_id=cs_test_none"])
async def test_nothing_is_cut_off_on_a_small_screen(
    browser: Browser, shop: Shop, path: str, tmp_path: Path
) -> None:
    await browser.resize(360, 740)
    await browser.open(shop.url + path)
    await browser.find(READY if path == "/demo" else "[role=alert]:not(:empty)")
    wide = await browser.run("return document.documentElement.scrollWidth")
    assert wide <= 360


async def test_on_a_phone_a_buyer_sees_each_price_their_domain_and_what_has_the_focus(
    browser: Browser, shop: Shop
) -> None:
    await browser.resize(360, 740)
    async with reading_german(browser):
        await browser.open(f"{shop.url}/demo")
        await browser.find(READY)
        cut = """return [...document.querySelectorAll('.card')]
            .filter((one) => one.scrollWidth > one.clientWidth).length"""
        assert await browser.run(cut) == 0
        above = """const [box, text] = document.querySelector('#trial-choice').children;
            return box.getBoundingClientRect().right <= text.getBoundingClientRect().left"""
        assert await browser.run(above)
        await browser.click("[name=domainMode][value=existing]")
        await browser.fill("#domain", "müller-bäckerei.de")
        await browser.fill("#name", "Jürgen Müller")
        await browser.fill("#email", "juergen@example.de")
        await browser.find("#total-in-sight:not([hidden])")
        hidden = """const field = document.querySelector('#pay'); scrollTo(0, 0); field.focus();
            const place = field.getBoundingClientRect();
            const bar = document.querySelector('#total-in-sight').getBoundingClientRect();
            return place.bottom > bar.top && place.top < bar.bottom"""
        assert not await browser.run(hidden)
        await browser.click("#pay")
        await pay(browser, GOOD_CARD)
        await browser.find("body[data-status=active]")
        assert "müller-bäckerei.de ist bereit" in await browser.text_of("#step-tenant")
        assert "xn--" not in await browser.text_of("main")


async def test_what_is_refused_is_said_once_where_the_order_is_placed(
    browser: Browser, shop: Shop
) -> None:
    await browser.open(f"{shop.url}/demo")
    await browser.find(READY)
    await browser.fill("#name", "Ada Lovelace")
    await browser.fill("#email", "ada@example.com")
    await browser.fill("#domain", "adalovelace.nowhere")
    await browser.until(
        lambda driver: "adalovelace.nowhere" in driver.find_element("id", "quote").text
    )
    await browser.click("#pay")
    assert "adalovelace.nowhere" in await browser.text_of("#error")
    assert "adalovelace.nowhere" not in await browser.run(
        "return document.querySelector('#quote').textContent"
    )


async def test_another_order_is_reached_by_keyboard_alone(browser: Browser, shop: Shop) -> None:
    await browser.open(f"{shop.url}/demo")
    await browser.find(READY)
    unreachable = await browser.run(
        """return [...document.querySelectorAll("input, button, summary, a")]
             .filter((e) => e.tabIndex < 0 || (e.labels && !e.labels.length && e.matches("input")))
             .map((e) => e.outerHTML)"""
    )
    assert unreachable == []


async def test_a_refused_coupon_is_said_below_it_beside_the_price_without_it(
    browser: Browser, shop: Shop
) -> None:
    await browser.open(f"{shop.url}/demo")
    await browser.find(READY)
    await browser.click("input[name=trial]")
    await browser.fill("#domain", "adalovelace.com")
    await browser.fill("#coupon", "NOPE")
    assert "NOPE" in await browser.text_of("#coupon-problem")
    assert await browser.text_of(".bill .total td") == "$20.98"
    await browser.resize(360, 740)
    assert await browser.text_of("#total-in-sight strong") == "$20.98"
    await browser.fill("#coupon", "WELCOME10")
    await browser.find(".bill .good")
    assert await browser.run("return document.querySelectorAll('.problem').length") == 0


async def test_who_left_the_payment_page_finds_the_way_back(browser: Browser, shop: Shop) -> None:
    await order(browser, shop, trial=False)
    page = browser.driver.current_url
    await browser.open(f"{shop.url}/demo")
    await browser.find("#unpaid:not([hidden]) a")
    session = page.rsplit("/", 1)[-1].partition("#")[0]
    await browser.open(f"{shop.url}/demo/success?session_id={session}")
    await browser.find("body[data-status=provisional]")
    assert await browser.text_of("#headline") == "Your order"
    await browser.click("#go-on")
    await pay(browser, GOOD_CARD)
    await browser.find("body[data-status=active]")
    assert await browser.text_of("#headline") == "Thank you"
    assert await browser.text_of("#step-payment span") == "$20.98 received"
    await browser.open(f"{shop.url}/demo")
    await browser.find(READY)
    await browser.until(
        lambda driver: not driver.find_elements("css selector", "#unpaid:not([hidden])")
    )


TRAFFIC_IN_GERMAN = "100 GB inklusive, danach $ 0,025 je GB bis 1 000, danach $ 0,01"


@asynccontextmanager
async def reading_german(browser: Browser) -> AsyncIterator[None]:
    """The browser asks for German, as in Austria."""
    agent = await browser.run("return navigator.userAgent")
    override = {"userAgent": agent, "acceptLanguage": "de-AT,de"}
    browser.driver.execute_cdp_cmd("Network.setUserAgentOverride", override)
    try:
        yield
    finally:
        browser.driver.execute_cdp_cmd("Network.setUserAgentOverride", {"userAgent": agent})


async def test_a_german_buyer_reads_german(
    browser: Browser, shop: Shop, gateway: StripeGateway
) -> None:
    await apply_catalogue(shop.pool, metered_file())
    await push_catalogue(shop.pool, StripeCatalogue(gateway.client), livemode=False)
    async with reading_german(browser):
        await browser.open(f"{shop.url}/demo")
        await browser.find(READY)
        assert await browser.text_of("#pay") == "Weiter zur Zahlung"
        assert "7,99 monatlich" in await browser.text_of(".plan:nth-of-type(2) .price")
        assert await browser.run("return document.documentElement.lang") == "de-AT"
        traffic = await browser.text_of("#addons label:has([value=traffic]) .hint")
        assert traffic.replace("\u00a0", " ") == TRAFFIC_IN_GERMAN
        await browser.click("input[name=domainMode][value=later]")
        await browser.click("input[value=traffic]")
        quoted = await browser.text_of(".bill tr:nth-of-type(2) td")
        assert quoted.replace("\u00a0", " ") == TRAFFIC_IN_GERMAN


async def test_what_is_refused_is_said_in_german(browser: Browser, shop: Shop) -> None:
    async with reading_german(browser):
        await browser.open(f"{shop.url}/demo/success?session_id=cs_test_unknown")
        said = await browser.until(lambda driver: driver.find_element("id", "error").text)
        assert said == "Diese Bestellung gibt es nicht, oder ihre Adresse ist unvollständig."
        assert await browser.run("return document.querySelector('.steps').hidden")
        assert not await browser.run("return document.querySelector('.steps').checkVisibility()")
        await browser.open(f"{shop.url}/demo")
        await browser.find(READY)
        await browser.click("input[name=domainMode][value=later]")
        await browser.fill("#coupon", "NOTHING")
        refused = await browser.text_of("#coupon-problem")
        assert refused == "Der Gutschein „NOTHING“ ist nicht gültig."
        await browser.fill("#name", "Ada")
        await browser.fill("#coupon", "")
        await browser.fill("#email", "ada@example")
        await browser.run("document.querySelector('#order').noValidate = true")
        await browser.click("#pay")
        assert await browser.text_of("#email-problem") == "Bitte prüfen Sie Ihre E-Mail-Adresse."


CHOOSE = """
    const choice = document.querySelector("#currency");
    choice.value = arguments[0];
    choice.dispatchEvent(new Event("change", { bubbles: true }));
"""


async def test_a_shop_that_sells_in_several_currencies_lets_the_buyer_choose(
    browser: Browser, shop: Shop, gateway: StripeGateway
) -> None:
    await sell_in_currencies(shop.pool, gateway)
    await browser.open(f"{shop.url}/demo")
    await browser.find(READY)
    await browser.click("input[name=domainMode][value=later]")
    await browser.click("input[name=addon]")
    for currency, due in (("kwd", "KWD\u00a05.520"), ("jpy", "\u00a52,732")):
        await browser.run(CHOOSE, currency)
        shown = await browser.until(
            lambda driver, due=due: [
                cell.text
                for cell in driver.find_elements("css selector", ".bill .total td")
                if cell.text.replace(" ", "\u00a0") == due
            ]
        )
        assert shown
    await browser.fill("#name", "Ada Lovelace")
    await browser.fill("#email", "ada@example.com")
    await browser.click("#pay")
    await browser.find("[name=cardNumber]")
    await pay(browser, GOOD_CARD)
    await browser.find("body[data-status=active]")
    assert "\u00a52,732" in await browser.text_of("#details")
    paid = await shop.pool.fetchrow("SELECT lower(currency), amount_paid FROM invoices")
    assert paid is not None
    assert tuple(paid) == ("jpy", 2732)
