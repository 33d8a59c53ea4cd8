"""A confirmation token stands for what a page has collected, and works once."""

import pytest
import stripe

from tests.stripe_sandbox.conftest import DAY

ADDRESS = {"line1": "1 Main", "city": "Bonn", "country": "DE"}
SHIPPING = {"name": "Ada", "address": ADDRESS}
PAYMENT = {"amount": 2000, "currency": "usd"}
LATER = {"setup_future_usage": "off_session", "return_url": "https://shop.example/"}


async def test_an_intent_is_confirmed_by_a_token(api):
    tokens = api.v1.test_helpers.confirmation_tokens
    customer = await api.v1.customers.create_async({})
    token = await tokens.create_async(
        {"payment_method": "pm_card_amex", "shipping": SHIPPING, **LATER}
    )
    assert token.payment_method_preview.card.brand == "amex"
    made = await api.v1.payment_intents.create_async({**PAYMENT, "customer": customer.id})
    paid = await api.v1.payment_intents.confirm_async(made.id, {"confirmation_token": token.id})
    assert (paid.status, paid.shipping.name) == ("succeeded", "Ada")
    cards = (await api.v1.customers.payment_methods.list_async(customer.id)).data
    assert [card.card.brand for card in cards] == ["amex"]
    used = await api.v1.confirmation_tokens.retrieve_async(token.id)
    assert used.payment_intent == made.id


async def test_a_token_works_once_and_for_twelve_hours(api, driver):
    tokens = api.v1.test_helpers.confirmation_tokens
    token, late = [await tokens.create_async({"payment_method": "pm_card_visa"}) for _ in "ab"]
    given = {**PAYMENT, "confirm": True}
    intents, setups = api.v1.payment_intents, api.v1.setup_intents
    await intents.create_async({**given, "confirmation_token": token.id})
    with pytest.raises(stripe.InvalidRequestError, match="already been used"):
        await setups.create_async({"confirm": True, "confirmation_token": token.id})
    await driver.advance_time(await driver.now() + DAY)
    with pytest.raises(stripe.InvalidRequestError, match="expired"):
        await intents.create_async({**given, "confirmation_token": late.id})


@pytest.mark.parametrize("more", [{}, {"confirm": True, "payment_method": "pm_card_visa"}])
async def test_a_token_alone_confirms_a_new_intent(api, more):
    token = await api.v1.test_helpers.confirmation_tokens.create_async(
        {"payment_method": "pm_card_visa"}
    )
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await api.v1.payment_intents.create_async(
            {**PAYMENT, "confirmation_token": token.id, **more}
        )
    assert refused.value.param == "confirmation_token"
