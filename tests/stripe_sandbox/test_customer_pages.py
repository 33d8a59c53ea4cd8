"""The pages of a customer: the portal and the hosted invoice."""

import pytest
from aiohttp import ClientSession

from tests.stripe_sandbox.calls import customer_with_card, subscribe

CARD = {
    "cardNumber": "5555 5555 5555 4444",
    "cardExpiry": "12 / 34",
    "cardCvc": "123",
    "billingName": "Ada Lovelace",
}
DECLINED = {**CARD, "cardNumber": "4000 0000 0000 0002"}


async def post(url: str, form: dict[str, str]) -> tuple[int, str]:
    async with (
        ClientSession() as browser,
        browser.post(url, data=form, allow_redirects=False) as page,
    ):
        return page.status, await page.text()


@pytest.fixture
async def bought(shop):
    """Return a subscription and the address of its customer's portal."""
    customer, _ = await customer_with_card(shop)
    subscription = await subscribe(shop, customer)
    session = await shop.api.v1.billing_portal.sessions.create_async({"customer": customer})
    return subscription, session.url


async def test_the_portal_cancels_with_a_reason_and_keeps(shop, bought):
    subscription, url = bought
    form = {"subscription": subscription.id, "feedback": "too_expensive", "comment": "sorry"}
    assert (await post(url, {**form, "action": "cancel"}))[0] == 303
    ending = await shop.fetch(subscription.id)
    assert ending.cancel_at == ending["items"].data[0].current_period_end
    details = ending.cancellation_details
    assert (details.feedback, details.comment, details.reason) == (
        "too_expensive",
        "sorry",
        "cancellation_requested",
    )
    await post(url, {"subscription": subscription.id, "action": "keep"})
    kept = await shop.fetch(subscription.id)
    assert (kept.cancel_at, kept.cancellation_details.feedback) == (None, None)


async def test_the_portal_takes_another_card(shop, bought, driver):
    subscription, url = bought
    status, page = await post(url, {**DECLINED, "action": "card"})
    assert (status, "Your card was declined." in page) == (402, True)
    assert (await post(url, {**CARD, "cardCvc": "1", "action": "card"}))[0] == 400
    assert (await post(url, {**CARD, "action": "card"}))[0] == 303
    customer = await shop.api.v1.customers.retrieve_async(
        subscription.customer, {"expand": ["invoice_settings.default_payment_method"]}
    )
    card = customer.invoice_settings.default_payment_method
    assert card.card.brand == "mastercard"
    assert (await shop.fetch(subscription.id)).default_payment_method == card.id
    await driver.wait_idle()
    assert "setup_intent.succeeded" in shop.receiver.types()


async def test_the_portal_lists_invoices_of_the_customer(shop, bought):
    subscription, url = bought
    [invoice] = await shop.invoices(subscription.id)
    async with ClientSession() as browser, browser.get(url) as page:
        text = await page.text()
    assert f'<a href="/i/{invoice.id}">{invoice.number}</a>' in text
    assert (await post(url, {"subscription": "sub_other", "action": "cancel"}))[0] == 404


async def test_a_hosted_invoice_takes_a_payment(shop, driver):
    customer = await shop.api.v1.customers.create_async({"email": "ada@example.com"})
    subscription = await subscribe(shop, customer.id, payment_behavior="default_incomplete")
    [invoice] = await shop.invoices(subscription.id)
    status, page = await post(invoice.hosted_invoice_url, DECLINED)
    assert (status, "Your card was declined." in page) == (402, True)
    assert (await post(invoice.hosted_invoice_url, CARD))[0] == 303
    assert (await shop.fetch(subscription.id)).status == "active"
    paid = await shop.api.v1.invoices.retrieve_async(invoice.id)
    assert (paid.status, paid.amount_paid) == ("paid", 1000)
    assert (await post(invoice.hosted_invoice_url, CARD))[0] == 410


async def test_a_configuration_says_what_the_portal_offers(shop, bought, driver):
    subscription, _ = bought
    configurations = shop.api.v1.billing_portal.configurations
    made = await configurations.create_async(
        {"features": {"payment_method_update": {"enabled": True}}, "metadata": {"a": "b"}}
    )
    session = await shop.api.v1.billing_portal.sessions.create_async(
        {"customer": subscription.customer, "configuration": made.id}
    )
    assert session.configuration == made.id
    async with ClientSession() as browser, browser.get(session.url) as page:
        text = await page.text()
    assert ("Use this card" in text, "Cancel subscription" in text) == (True, False)
    form = {"subscription": subscription.id, "action": "cancel"}
    assert (await post(session.url, form))[0] == 404
    changed = await configurations.update_async(
        made.id, {"features": {"subscription_cancel": {"enabled": True}}}
    )
    assert changed.features.payment_method_update.enabled
    assert (await post(session.url, form))[0] == 303
    listed = await configurations.list_async({"is_default": False})
    assert [one.id for one in listed.data] == [made.id]
    await driver.wait_idle()
    assert "billing_portal.configuration.updated" in shop.receiver.types()
