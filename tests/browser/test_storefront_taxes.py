"""The shop says of each sum whether it contains the tax, and what that comes to."""

from typing import Any

import pytest

from mpanel_billing.settings import Settings
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.browser.conftest import Browser, Shop
from tests.browser.test_storefront import CHOOSE, READY
from tests.taxed import MORE, collect_taxes, sell

pytestmark = pytest.mark.browser

BILL = """
    return [...document.querySelectorAll(".bill tr")]
        .map((row) => row.innerText.replaceAll("\\t", " ").replaceAll("\\u00a0", " "))
"""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"tax": "automatic"})


async def bill_with(browser: Browser, line: str) -> list[str]:
    """Wait until the bill has a line, and return all of it."""
    return await browser.until(lambda driver: _has(driver.execute_script(BILL), line))


def _has(bill: list[str], line: str) -> list[str]:
    return bill if line in bill else []


async def test_a_buyer_sees_net_tax_and_gross_of_their_country(
    browser: Browser, shop: Shop, gateway: StripeGateway
) -> None:
    await sell(shop.pool, gateway, more=MORE)
    await collect_taxes(gateway)
    agent = await browser.run("return navigator.userAgent")
    await browser.open(f"{shop.url}/demo")
    await browser.find(READY)
    await browser.click("input[name=plan][value=starter]")
    await browser.click("input[name=domainMode][value=later]")
    assert "plus tax" in await browser.text_of(".plan .price")
    shown = await bill_with(browser, "Due today $15.00, plus tax")
    assert "Then, monthly $10.00, plus tax" in shown
    assert "Enter your country" in await browser.text_of("#quote .hint")
    await browser.fill("#country", "DE")
    await browser.click("#postcode")
    await browser.fill("#postcode", "10115")
    await browser.run("document.activeElement.blur()")
    shown = await bill_with(browser, "Due today $17.85")
    assert {"Net $15.00", "Tax $2.85", "Then, monthly $10.00, plus tax"} < set(shown)
    await browser.fill("#country", "US")
    await browser.fill("#postcode", "")
    await browser.run("document.activeElement.blur()")
    assert "postcode" in await browser.text_of("#postcode-problem")
    assert await bill_with(browser, "Due today $15.00, plus tax")
    await browser.fill("#country", "FR")
    await browser.run(CHOOSE, "eur")
    shown = await bill_with(browser, "Due today \u20ac15.00")
    assert {"Net \u20ac12.50", "Tax \u20ac2.50", "Then, monthly \u20ac10.00, includes VAT"} < set(
        shown
    )

    override = {"userAgent": agent, "acceptLanguage": "de-AT,de"}
    browser.driver.execute_cdp_cmd("Network.setUserAgentOverride", override)
    try:
        await browser.open(f"{shop.url}/demo")
        await browser.find(READY)
        assert "zzgl. MwSt." in await browser.text_of(".plan .price")
    finally:
        browser.driver.execute_cdp_cmd("Network.setUserAgentOverride", {"userAgent": agent})


async def test_a_company_gives_its_tax_id_and_hears_what_is_wrong_with_it(
    browser: Browser, shop: Shop, gateway: StripeGateway
) -> None:
    await sell(shop.pool, gateway, more=MORE)
    await collect_taxes(gateway)
    await browser.open(f"{shop.url}/demo")
    await browser.find(READY)
    await browser.click("input[name=plan][value=starter]")
    await browser.click("input[name=domainMode][value=later]")
    await browser.fill("#name", "Konrad Zuse")
    await browser.fill("#email", "konrad@example.com")
    await browser.click("details summary")
    await browser.fill("#company", "Zuse KG")
    for country, sentence in (
        ("", "Enter your country, too"),
        ("BR", "the payment page asks for the tax ids of this country"),
        ("DE", "This is not a tax id of its type"),
    ):
        await browser.fill("#country", country)
        await browser.fill("#tax-id", "DE12")
        await browser.click("#pay")
        assert sentence in await browser.text_of("#tax-id-problem")
    assert await bill_with(browser, "Due today $17.85"), "what it costs without"
    await browser.fill("#tax-id", "DE123456789")
    await browser.fill("#postcode", "10115")
    await browser.run("document.activeElement.blur()")
    assert {"Net $15.00", "Tax $0.00"} < set(await bill_with(browser, "Due today $15.00"))
    await browser.click("#pay")
    await browser.find("[name=cardNumber]")
    row = await shop.pool.fetchrow(
        "SELECT c.company_name, s.stripe_customer_id FROM customers c"
        " JOIN subscriptions s ON s.customer_id = c.id AND s.stripe_customer_id IS NOT NULL"
    )
    assert row is not None
    assert row["company_name"] == "Zuse KG"
    owner: Any = {"owner": {"type": "customer", "customer": row["stripe_customer_id"]}}
    held = await gateway.client.v1.tax_ids.list_async(owner)
    assert [(one.type, one.value) for one in held.data] == [("eu_vat", "DE123456789")]
