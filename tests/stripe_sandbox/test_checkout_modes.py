"""Checkout sessions that take a payment or set up a payment method."""

import pytest
import stripe
from aiohttp import ClientSession

ADDRESS = {
    "billingAddressLine1": "1 Main Street",
    "billingLocality": "Oslo",
    "billingPostalCode": "0150",
    "billingCountry": "NO",
}


async def test_a_payment_makes_an_intent_and_no_customer(shop):
    session = await shop.open(
        "domain",
        mode="payment",
        payment_intent_data={"description": "A domain", "metadata": {"order": "7"}},
    )
    assert (session.payment_intent, session.subscription) == (None, None)
    assert (session.customer_creation, session.payment_method_collection) == ("if_required",) * 2
    assert (await shop.driver.pay(session.url)).status == 303
    paid = await shop.api.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["payment_intent.latest_charge"]}
    )
    assert (paid.status, paid.payment_status, paid.customer) == ("complete", "paid", None)
    assert paid.customer_details.email == "ada@example.com"
    intent = paid.payment_intent
    assert (intent.amount, intent.status, intent.description) == (1299, "succeeded", "A domain")
    assert intent.metadata["order"] == "7"
    assert intent.latest_charge.billing_details.email == "ada@example.com"
    await shop.driver.wait_idle()
    told = shop.receiver.last("checkout.session.completed")["data"]["object"]
    assert told["payment_intent"] == intent.id
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        await shop.api.v1.payment_intents.create_async(
            {"amount": 500, "currency": "usd", "payment_method": intent.payment_method}
        )


async def test_a_payment_may_create_a_customer_with_a_saved_card(shop):
    session = await shop.open(
        "domain",
        mode="payment",
        customer_creation="always",
        payment_intent_data={"setup_future_usage": "off_session"},
    )
    await shop.driver.pay(session.url)
    paid = await shop.api.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["customer"]})
    methods = await shop.api.v1.customers.payment_methods.list_async(paid.customer.id)
    assert (paid.customer.name, len(methods.data)) == ("Ada Lovelace", 1)


async def test_a_payment_may_have_an_invoice(shop):
    coupon = await shop.api.v1.coupons.create_async({"percent_off": 50, "duration": "once"})
    session = await shop.open(
        "domain",
        mode="payment",
        discounts=[{"coupon": coupon.id}],
        invoice_creation={
            "enabled": True,
            "invoice_data": {"description": "Thanks", "metadata": {"order": "7"}},
        },
    )
    await shop.driver.pay(session.url)
    paid = await shop.api.v1.checkout.sessions.retrieve_async(session.id, {"expand": ["invoice"]})
    invoice = paid.invoice
    assert (invoice.status, invoice.total, invoice.description) == ("paid", 649, "Thanks")
    assert invoice.metadata["order"] == "7"
    assert (invoice.customer, paid.amount_total) == (paid.customer, 649)
    assert paid.payment_intent.startswith("pi_")
    assert (await shop.api.v1.coupons.retrieve_async(coupon.id)).times_redeemed == 1


async def test_a_payment_of_nothing_takes_no_card(shop):
    coupon = await shop.api.v1.coupons.create_async({"percent_off": 100, "duration": "once"})
    session = await shop.open("domain", mode="payment", discounts=[{"coupon": coupon.id}])
    assert (await shop.driver.pay(session.url, card="")).status == 303
    done = await shop.api.v1.checkout.sessions.retrieve_async(session.id)
    assert (done.payment_status, done.payment_intent) == ("no_payment_required", None)


async def test_an_authorized_payment_is_unpaid_until_it_is_captured(shop):
    session = await shop.open(
        "domain", mode="payment", payment_intent_data={"capture_method": "manual"}
    )
    await shop.driver.pay(session.url)
    done = await shop.api.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["payment_intent"]}
    )
    assert (done.payment_status, done.payment_intent.status) == ("unpaid", "requires_capture")


async def test_a_declined_payment_leaves_nothing(shop):
    session = await shop.open("domain", mode="payment")
    declined = await shop.driver.pay(session.url, "4000000000000002")
    assert (declined.status, declined.error) == (402, "Your card was declined.")
    assert (await shop.api.v1.payment_intents.list_async()).data == []


async def test_a_card_is_set_up_for_a_customer(shop):
    customer = await shop.api.v1.customers.create_async({"email": "ada@example.com"})
    session = await shop.open(
        mode="setup",
        line_items=[],
        customer=customer.id,
        currency="usd",
        setup_intent_data={"metadata": {"a": "b"}},
    )
    assert (session.amount_total, session.payment_status) == (None, "no_payment_required")
    intent = await shop.api.v1.setup_intents.retrieve_async(session.setup_intent)
    assert (intent.status, intent.metadata["a"]) == ("requires_payment_method", "b")
    async with ClientSession() as browser, browser.get(session.url) as page:
        assert "Save your payment details" in await page.text()
    declined = await shop.driver.pay(session.url, "4000000000000002")
    assert declined.status == 402
    assert (await shop.driver.pay(session.url)).status == 303
    intent = await shop.api.v1.setup_intents.retrieve_async(session.setup_intent)
    assert intent.status == "succeeded"
    methods = await shop.api.v1.customers.payment_methods.list_async(customer.id)
    assert [one.id for one in methods.data] == [intent.payment_method]


async def test_the_buyer_may_change_the_name_and_address_of_the_customer(shop):
    customer = await shop.api.v1.customers.create_async({"email": "ada@example.com"})
    for update, name in (({}, None), ({"name": "auto", "address": "auto"}, "Ada Lovelace")):
        session = await shop.open(
            "domain",
            mode="payment",
            customer=customer.id,
            customer_update=update,
            billing_address_collection="required",
        )
        await shop.driver.pay(session.url, **ADDRESS)
        known = await shop.api.v1.customers.retrieve_async(customer.id)
        assert known.name == name
        assert (known.address.city if known.address else None) == ("Oslo" if name else None)


@pytest.mark.parametrize(
    ("change", "param", "message"),
    [
        ({"mode": "payment"}, "line_items", "You specified `payment` mode but passed a recurring"),
        ({"mode": "setup"}, "line_items", "You can not pass `line_items` in `setup` mode."),
        (
            {"payment_intent_data": {"description": "x"}},
            "payment_intent_data",
            "You can not pass `payment_intent_data` in `subscription` mode.",
        ),
        (
            {"customer_update": {"name": "auto"}},
            "customer_update",
            "`customer_update` can only be used with `customer`.",
        ),
    ],
)
async def test_a_param_of_another_mode_is_refused(shop, change, param, message):
    with pytest.raises(stripe.InvalidRequestError, match=message) as refused:
        await shop.open(**change)
    assert refused.value.param == param
