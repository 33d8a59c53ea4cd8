"""Payment methods and setup intents."""

import pytest
import stripe
from aiohttp import ClientSession

from stripe_sandbox.cards import TEST_CARDS
from tests.stripe_sandbox.calls import refused

NUMBER = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvc": "123"}


@pytest.fixture
async def customer(api) -> str:
    return (await api.v1.customers.create_async({"email": "ada@example.com"})).id


async def test_a_card_is_created_attached_updated_listed_and_detached(shop, customer, driver):
    methods = shop.api.v1.payment_methods
    card = await methods.create_async(
        {"type": "card", "card": NUMBER, "billing_details": {"name": "Ada"}, "metadata": {"a": "b"}}
    )
    assert (card.customer, card.card.brand, card.card.last4) == (None, "visa", "4242")
    assert (card.billing_details.name, card.metadata.to_dict()) == ("Ada", {"a": "b"})
    with refused("You must save this"):
        await methods.update_async(card.id, {"metadata": {"a": "c"}})
    await methods.attach_async(card.id, {"customer": customer})
    await methods.update_async(card.id, {"card": {"exp_month": 1, "exp_year": 2040}})
    assert [m.id for m in (await methods.list_async({"customer": customer})).data] == [card.id]
    found = await shop.api.v1.customers.payment_methods.retrieve_async(customer, card.id)
    assert (found.card.exp_month, found.card.exp_year) == (1, 2040)
    await methods.detach_async(card.id)
    assert (await methods.list_async({"customer": customer})).data == []
    await driver.wait_idle()
    assert shop.receiver.types()[-3:] == [
        "payment_method.attached",
        "payment_method.updated",
        "payment_method.detached",
    ]
    previous = shop.receiver.last("payment_method.updated")["data"]["previous_attributes"]
    assert previous == {"card": {"exp_month": 12, "exp_year": 2034}}


async def test_a_detached_card_is_no_longer_the_default(shop, customer, driver):
    card = await shop.api.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer})
    settings = {"default_payment_method": card.id}
    await shop.api.v1.customers.update_async(customer, {"invoice_settings": settings})
    subscription = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}],
            "default_payment_method": card.id,
        }
    )
    await shop.api.v1.payment_methods.detach_async(card.id)
    found = await shop.api.v1.customers.retrieve_async(customer)
    assert found.invoice_settings.default_payment_method is None
    assert (await shop.fetch(subscription.id)).default_payment_method is None


@pytest.mark.parametrize(
    ("wrong", "code", "param"),
    [
        ({"number": "4242424242424241"}, "incorrect_number", "number"),
        ({"exp_month": 13}, "invalid_expiry_month", "exp_month"),
        ({"exp_year": 2020}, "invalid_expiry_year", "exp_year"),
    ],
)
async def test_a_wrong_card_is_refused(api, wrong, code, param):
    with pytest.raises(stripe.CardError) as error:
        await api.v1.payment_methods.create_async({"type": "card", "card": NUMBER | wrong})
    assert (error.value.code, error.value.param) == (code, param)


async def test_every_test_card_has_its_brand_and_its_own_fingerprint(api, customer):
    seen = {}
    for card in TEST_CARDS:
        if not card.token or (card.decline and not card.attaches):
            continue
        found = await api.v1.payment_methods.attach_async(card.token, {"customer": customer})
        assert (found.card.brand, found.card.last4) == (card.brand, card.number[-4:])
        assert (found.card.country, found.card.funding) == (card.country, card.funding)
        seen[found.card.fingerprint] = card.number
    assert len(seen) == len(set(seen.values()))
    again = await api.v1.payment_methods.create_async({"type": "card", "card": NUMBER})
    assert seen[again.card.fingerprint] == NUMBER["number"]
    token: stripe.params.PaymentMethodCreateParams = {"type": "card", "card": {"token": "tok_visa"}}
    assert (await api.v1.payment_methods.create_async(token)).card.last4 == "4242"


async def test_a_setup_intent_attaches_the_card(shop, customer, driver):
    setups = shop.api.v1.setup_intents
    intent = await setups.create_async({"customer": customer, "metadata": {"a": "b"}})
    assert intent.status == "requires_payment_method"
    assert intent.client_secret.startswith(f"{intent.id}_secret_")
    intent = await setups.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    assert (intent.status, intent.usage) == ("succeeded", "off_session")
    card = await shop.api.v1.payment_methods.retrieve_async(intent.payment_method)
    assert card.customer == customer
    attempts = await shop.api.v1.setup_attempts.list_async({"setup_intent": intent.id})
    assert [attempt.id for attempt in attempts.data] == [intent.latest_attempt]
    await driver.wait_idle()
    assert shop.receiver.types()[-3:] == [
        "setup_intent.created",
        "payment_method.attached",
        "setup_intent.succeeded",
    ]
    with refused("You cannot cancel this SetupIntent"):
        await setups.cancel_async(intent.id)
    assert len((await setups.list_async({"customer": customer})).data) == 1
    assert (await setups.list_async({"customer": "cus_other"})).data == []


async def test_a_declined_card_is_not_set_up(api, customer, driver, receiver):
    with pytest.raises(stripe.CardError) as error:
        await api.v1.setup_intents.create_async(
            {"customer": customer, "payment_method": "pm_card_chargeDeclined", "confirm": True}
        )
    kept = error.value.error.setup_intent
    assert (kept.status, kept.last_setup_error.code) == ("requires_payment_method", "card_declined")
    await driver.wait_idle()
    assert receiver.types()[-1] == "setup_intent.setup_failed"


async def test_a_card_that_was_authenticated_at_set_up_pays_later_without(shop, customer):
    intent = await shop.api.v1.setup_intents.create_async(
        {
            "customer": customer,
            "payment_method": "pm_card_authenticationRequiredOnSetup",
            "confirm": True,
            "return_url": "https://shop.example/back",
        }
    )
    assert intent.status == "requires_action"
    url = intent.next_action.redirect_to_url.url
    async with (
        ClientSession() as browser,
        browser.post(url, data={"authentication": "complete"}, allow_redirects=False) as page,
    ):
        assert page.headers["Location"] == (
            f"https://shop.example/back?setup_intent={intent.id}"
            f"&setup_intent_client_secret={intent.client_secret}&redirect_status=succeeded"
        )
    card = (await shop.api.v1.setup_intents.retrieve_async(intent.id)).payment_method
    subscription = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}],
            "default_payment_method": card,
        }
    )
    assert subscription.status == "active"


async def test_a_set_up_that_is_not_authenticated_fails(api, customer, driver):
    intent = await api.v1.setup_intents.create_async(
        {"payment_method": "pm_card_authenticationRequired", "confirm": True, "customer": customer}
    )
    assert intent.next_action.type == "use_stripe_sdk"
    assert await driver.finish_authentication(intent.id, succeed=False) == "requires_payment_method"
    failed = await api.v1.setup_intents.retrieve_async(intent.id)
    assert failed.last_setup_error.code == "setup_intent_authentication_failure"
    canceled = await api.v1.setup_intents.cancel_async(
        intent.id, {"cancellation_reason": "abandoned"}
    )
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")


async def test_a_trial_without_a_card_waits_for_its_setup_intent(shop, customer):
    subscription = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}],
            "trial_period_days": 14,
            "expand": ["pending_setup_intent"],
        }
    )
    intent = subscription.pending_setup_intent
    assert intent.status == "requires_payment_method"
    await shop.api.v1.setup_intents.confirm_async(intent.id, {"payment_method": "pm_card_visa"})
    found = await shop.fetch(subscription.id)
    assert found.pending_setup_intent is None
    card = await shop.api.v1.payment_methods.retrieve_async(found.default_payment_method)
    assert card.customer == customer


async def test_a_trial_checkout_sets_up_the_card(shop, driver):
    await shop.buy("monthly", subscription_data={"trial_period_days": 14})
    await driver.wait_idle()
    made = [name for name in shop.receiver.types() if "setup" in name or "payment_method" in name]
    assert made == ["setup_intent.created", "payment_method.attached", "setup_intent.succeeded"]
