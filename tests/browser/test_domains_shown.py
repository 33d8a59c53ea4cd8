"""What a buyer sees of a domain that a registrar cannot order as it stands."""

from collections.abc import AsyncIterator

import pytest
from cryptography.fernet import Fernet

from mpanel_billing.settings import Settings
from tests.browser.conftest import Browser, Shop
from tests.browser.test_storefront import GOOD_CARD, order, pay
from tests.commands import run_command
from tests.provisioning.reference_registrar import ReferenceRegistrar
from tests.service import make_settings

pytestmark = pytest.mark.browser

NAME = "adalovelace.com"
FORM = "#domain-notices form"


@pytest.fixture
async def settings(settings: Settings) -> AsyncIterator[Settings]:
    async with ReferenceRegistrar().running() as registrar:
        registrar.taken[NAME] = "s3cret-Code"
        services = {"domain": registrar.endpoint()}
        with_registrar = make_settings(
            provisioning_services=services, encryption_keys=Fernet.generate_key().decode()
        )
        yield settings.model_copy(
            update={
                "provisioning_services": with_registrar.provisioning_services,
                "encryption_keys": with_registrar.encryption_keys,
            }
        )


async def says(browser: Browser, sentence: str) -> None:
    """Wait until the page says it of a domain."""
    await browser.until(lambda driver: sentence in driver.find_element("id", "domain-notices").text)


async def test_a_buyer_is_asked_for_what_the_registrar_needs_and_told_of_a_lost_name(
    browser: Browser, shop: Shop, database_url: str
) -> None:
    await order(browser, shop, trial=False)
    await pay(browser, GOOD_CARD)
    await browser.find(FORM)
    notices = await browser.text_of("#domain-notices")
    assert f"To transfer {NAME}, we need its auth code." in notices
    needed = "your phone number, your street, your city, your postcode, and your country"
    assert needed in notices

    await browser.fill(f"{FORM} [name=authCode]", "   ")
    await browser.click(f"{FORM} button")
    assert await browser.text_of(f"{FORM} [role=alert]")
    await browser.fill(f"{FORM} [name=authCode]", "s3cret-Code")
    await browser.click(f"{FORM} button")
    await browser.until(lambda driver: not driver.find_elements("css selector", FORM))
    row = await shop.pool.fetchrow("SELECT state, auth_code FROM billing_domains")
    assert row is not None
    assert row["auth_code"] is not None

    why = ("--reason", "its registry keeps it")
    given_up = await run_command(database_url, "domains", "give-up", NAME, *why)
    assert given_up.status == 0, given_up.out
    await says(browser, f"{NAME} could not be obtained")
