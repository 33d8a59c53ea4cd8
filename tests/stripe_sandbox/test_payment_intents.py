"""Payment intents: created by the API, and those of invoices."""

import pytest
import stripe
from aiohttp import ClientSession

from tests.stripe_sandbox.calls import refused

ONCE = {"amount": 2000, "currency": "usd"}


@pytest.fixture
async def customer(api) -> str:
    return (await api.v1.customers.create_async({"email": "ada@example.com"})).id


async def incomplete(shop, customer: str, card: str | None = None) -> stripe.Subscription:
    """Return a subscription whose first invoice waits to be confirmed by the buyer."""
    return await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}],
            "payment_behavior": "default_incomplete",
            "payment_settings": {"save_default_payment_method": "on_subscription"},
            "expand": ["latest_invoice.confirmation_secret", "latest_invoice.payments"],
        }
    )


def intent_of(subscription: stripe.Subscription) -> str:
    secret = subscription.latest_invoice.confirmation_secret
    assert secret.type == "payment_intent"
    intent = subscription.latest_invoice.payments.data[0].payment.payment_intent
    assert secret.client_secret.startswith(f"{intent}_secret_")
    return intent


async def test_an_intent_is_paid_at_once_when_confirmed_at_creation(shop, driver):
    intent = await shop.api.v1.payment_intents.create_async(
        {**ONCE, "payment_method": "pm_card_visa", "confirm": True, "metadata": {"a": "b"}}
    )
    assert (intent.status, intent.amount_received) == ("succeeded", 2000)
    charge = await shop.api.v1.charges.retrieve_async(intent.latest_charge)
    assert (charge.paid, charge.metadata.to_dict()) == (True, {"a": "b"})
    await driver.wait_idle()
    assert shop.receiver.types()[-3:] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
    ]


async def test_a_decline_keeps_the_intent_for_another_card(api):
    intent = await api.v1.payment_intents.create_async(ONCE)
    assert intent.status == "requires_payment_method"
    with refused("missing a payment method"):
        await api.v1.payment_intents.confirm_async(intent.id)
    with pytest.raises(stripe.CardError) as error:
        await api.v1.payment_intents.confirm_async(
            intent.id, {"payment_method": "pm_card_chargeDeclinedInsufficientFunds"}
        )
    assert (error.value.code, error.value.error.decline_code) == (
        "card_declined",
        "insufficient_funds",
    )
    assert error.value.error.payment_intent.status == "requires_payment_method"
    paid = await api.v1.payment_intents.confirm_async(
        intent.id, {"payment_method": "pm_card_mastercard"}
    )
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)
    with refused("status of succeeded"):
        await api.v1.payment_intents.confirm_async(intent.id)


async def test_authentication_completes_on_the_page_of_the_bank(api):
    intent = await api.v1.payment_intents.create_async(
        {
            **ONCE,
            "payment_method": "pm_card_authenticationRequired",
            "confirm": True,
            "return_url": "https://shop.example/back?x=1",
        }
    )
    assert intent.status == "requires_action"
    url = intent.next_action.redirect_to_url.url
    async with ClientSession() as browser:
        async with browser.get(url) as page:
            assert "Complete" in await page.text()
        form = {"authentication": "complete"}
        async with browser.post(url, data=form, allow_redirects=False) as page:
            assert page.headers["Location"].startswith("https://shop.example/back?x=1&payment_int")
            assert page.headers["Location"].endswith("redirect_status=succeeded")
    assert (await api.v1.payment_intents.retrieve_async(intent.id)).status == "succeeded"


async def test_a_failed_authentication_charges_nothing(api, driver):
    intent = await api.v1.payment_intents.create_async(
        {**ONCE, "payment_method": "pm_card_authenticationRequired", "confirm": True}
    )
    assert await driver.finish_authentication(intent.id, succeed=False) == "requires_payment_method"
    failed = await api.v1.payment_intents.retrieve_async(intent.id)
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"
    assert failed.latest_charge is None


@pytest.mark.parametrize(
    "how", [{"off_session": True}, {"error_on_requires_action": True}], ids=str
)
async def test_without_the_buyer_authentication_is_a_decline(api, customer, how):
    card = await api.v1.payment_methods.attach_async(
        "pm_card_authenticationRequired", {"customer": customer}
    )
    intent = {**ONCE, "customer": customer, "payment_method": card.id, "confirm": True}
    with pytest.raises(stripe.CardError) as error:
        await api.v1.payment_intents.create_async({**intent, **how})
    assert error.value.code == "authentication_required"


async def test_an_authorized_payment_is_captured_or_canceled(api, driver, receiver):
    intents = api.v1.payment_intents
    order = {**ONCE, "payment_method": "pm_card_visa", "confirm": True, "capture_method": "manual"}
    first, second = await intents.create_async(order), await intents.create_async(order)
    assert (first.status, first.amount_capturable) == ("requires_capture", 2000)
    captured = await intents.capture_async(first.id, {"amount_to_capture": 1500})
    assert (captured.status, captured.amount_received) == ("succeeded", 1500)
    canceled = await intents.cancel_async(second.id, {"cancellation_reason": "duplicate"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "duplicate")
    await driver.wait_idle()
    assert receiver.types()[-3:] == [
        "charge.captured",
        "payment_intent.succeeded",
        "payment_intent.canceled",
    ]


async def test_a_card_of_a_customer_is_used_for_that_customer_only(api, customer):
    card = await api.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer})
    other = (await api.v1.customers.create_async()).id
    for buyer, message in ((None, "attached to a customer"), (other, "does not have a payment")):
        order = {**ONCE, "payment_method": card.id} | ({"customer": buyer} if buyer else {})
        with refused(message):
            await api.v1.payment_intents.create_async(order)
    once = await api.v1.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_mastercard"}}
    )
    order = {**ONCE, "payment_method": once.id, "confirm": True}
    await api.v1.payment_intents.create_async(order)
    with refused("previously used"):
        await api.v1.payment_intents.create_async(order)


async def test_a_first_invoice_is_confirmed_by_the_buyer(shop, customer, driver):
    subscription = await incomplete(shop, customer)
    assert subscription.status == "incomplete"
    intent = await shop.api.v1.payment_intents.confirm_async(
        intent_of(subscription), {"payment_method": "pm_card_visa"}
    )
    assert intent.status == "succeeded"
    paid = await shop.fetch(subscription.id)
    assert (paid.status, paid.default_payment_method) == ("active", intent.payment_method)
    [invoice] = await shop.invoices(subscription.id)
    assert (invoice.status, invoice.amount_paid) == ("paid", 1000)
    await driver.wait_idle()
    assert {"invoice.paid", "invoice_payment.paid"} <= set(shop.receiver.types())


@pytest.mark.parametrize("succeeds", [True, False])
async def test_a_first_invoice_may_have_to_be_authenticated(shop, customer, driver, succeeds):
    subscription = await incomplete(shop, customer)
    intent = await shop.api.v1.payment_intents.confirm_async(
        intent_of(subscription), {"payment_method": "pm_card_threeDSecure2Required"}
    )
    assert intent.status == "requires_action"
    assert (await shop.fetch(subscription.id)).status == "incomplete"
    await driver.finish_authentication(intent.id, succeed=succeeds)
    status = "active" if succeeds else "incomplete"
    assert (await shop.fetch(subscription.id)).status == status
    await driver.wait_idle()
    assert ("invoice.payment_failed" in shop.receiver.types()) is not succeeds


async def test_the_intent_of_an_invoice_is_canceled_by_voiding_it(shop, customer):
    subscription = await incomplete(shop, customer)
    with refused("void the invoice"):
        await shop.api.v1.payment_intents.cancel_async(intent_of(subscription))
    await shop.api.v1.invoices.void_invoice_async(subscription.latest_invoice.id)
    intent = await shop.api.v1.payment_intents.retrieve_async(intent_of(subscription))
    assert (intent.status, intent.cancellation_reason) == ("canceled", "void_invoice")
