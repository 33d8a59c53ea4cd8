"""Cash balances, and refunds of them, which wait for the customer."""

import pytest
import stripe

from tests.stripe_sandbox.conftest import DAY, START

SENT = {"amount": 900, "currency": "usd"}


@pytest.fixture
async def funded(shop):
    clock, customer = await shop.clocked_customer()
    await shop.api.v1.test_helpers.customers.fund_cash_balance_async(customer, SENT)
    return clock, customer


async def available(shop, customer):
    found = await shop.api.v1.customers.cash_balance.retrieve_async(customer)
    return found.available.to_dict() if found.available else {}


async def send_back(shop, customer, amount=400, **more):
    told = {"origin": "customer_balance", "customer": customer, "currency": "usd"}
    return await shop.api.v1.refunds.create_async({**told, "amount": amount, **more})


async def kinds(shop, customer):
    found = await shop.api.v1.customers.cash_balance_transactions.list_async(customer)
    return [(one.type, one.net_amount, one.ending_balance) for one in found.data]


async def test_a_transfer_is_available(shop, funded):
    _, customer = funded
    assert await available(shop, customer) == {"usd": 900}
    found = await shop.api.v1.customers.retrieve_async(customer, {"expand": ["cash_balance"]})
    assert found.cash_balance.available.to_dict() == {"usd": 900}
    assert await kinds(shop, customer) == [("funded", 900, 900)]


async def test_a_refund_of_it_waits_for_the_customer_and_can_be_canceled(shop, funded):
    _, customer = funded
    refund = await send_back(shop, customer, instructions_email="a@example.com")
    assert (refund.status, refund.charge) == ("requires_action", None)
    sent = refund.next_action.display_details.email_sent
    assert sent.email_sent_to == "a@example.com"
    assert await available(shop, customer) == {"usd": 500}
    canceled = await shop.api.v1.refunds.cancel_async(refund.id)
    assert (canceled.status, canceled.next_action) == ("canceled", None)
    assert await kinds(shop, customer) == [
        ("return_canceled", 400, 900), ("return_initiated", -400, 500), ("funded", 900, 900),
    ]  # fmt: skip
    with pytest.raises(stripe.InvalidRequestError, match="cannot be canceled"):
        await shop.api.v1.refunds.cancel_async(refund.id)


async def test_a_refund_that_nobody_answers_expires_after_45_days(shop, funded):
    clock, customer = funded
    refund = await send_back(shop, customer, instructions_email="a@example.com")
    await shop.driver.advance_clock(clock, START + 44 * DAY)
    assert (await shop.api.v1.refunds.retrieve_async(refund.id)).status == "requires_action"
    await shop.driver.advance_clock(clock, START + 46 * DAY)
    assert (await shop.api.v1.refunds.retrieve_async(refund.id)).status == "canceled"
    assert await available(shop, customer) == {"usd": 900}


async def test_a_refund_can_be_let_expire(shop, funded):
    _, customer = funded
    refund = await send_back(shop, customer, instructions_email="a@example.com")
    expired = await shop.api.v1.test_helpers.refunds.expire_async(refund.id)
    assert expired.status == "canceled"


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"amount": 1000, "instructions_email": "a@example.com"}, "amount"),
        ({"currency": "eur", "instructions_email": "a@example.com"}, "amount"),
        ({"origin": ""}, "currency"),
        ({"charge": "ch_x"}, "charge"),
    ],
)
async def test_what_cannot_be_sent_back_is_refused(shop, funded, more, param):
    _, customer = funded
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await send_back(shop, customer, **more)
    assert refused.value.param == param
    assert await available(shop, customer) == {"usd": 900}


async def test_a_customer_without_an_address_cannot_be_asked(shop, funded):
    _, customer = funded
    await shop.api.v1.customers.update_async(customer, {"email": ""})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await send_back(shop, customer)
    assert refused.value.param == "instructions_email"


async def test_countries_and_their_currencies_are_listed(shop):
    specs = shop.api.v1.country_specs
    listed = (await specs.list_async({"limit": 100})).data
    assert {one.id: one.default_currency for one in listed}["DE"] == "eur"
    assert (await specs.retrieve_async("US")).default_currency == "usd"
    with pytest.raises(stripe.InvalidRequestError) as unknown:
        await specs.retrieve_async("XX")
    assert unknown.value.http_status == 404
