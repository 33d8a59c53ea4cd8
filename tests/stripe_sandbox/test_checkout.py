"""Checkout sessions and their payment page."""

import re

import pytest
import stripe
from aiohttp import ClientSession


async def test_paying_completes_the_session_and_begins_the_subscription(shop):
    session = await shop.open(
        "monthly",
        "domain",
        subscription_data={"metadata": {"order": "7"}},
        metadata={"order": "7"},
        client_reference_id="row-7",
    )
    assert session.amount_total == 2299
    assert (session.status, session.payment_status) == ("open", "unpaid")

    result = await shop.driver.pay(session.url)

    assert result.status == 303
    assert result.location == f"https://shop.example/success?session_id={session.id}"
    paid = await shop.api.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["subscription.latest_invoice.payments", "line_items"]}
    )
    assert (paid.status, paid.payment_status) == ("complete", "paid")
    assert paid.subscription.status == "active"
    assert paid.subscription.metadata["order"] == "7"
    invoice = paid.subscription.latest_invoice
    assert (invoice.status, invoice.total) == ("paid", 2299)
    assert invoice.parent.subscription_details.metadata["order"] == "7"
    assert invoice.payments.data[0].status == "paid"
    assert [line.amount_total for line in paid.line_items.data] == [1000, 1299]


async def test_a_card_has_one_fingerprint_whoever_uses_it_and_however(shop):
    mastercard = "5555555555554444"
    bought = [await shop.buy(), await shop.buy(), await shop.buy(card=mastercard)]
    methods = [
        await shop.api.v1.payment_methods.retrieve_async(one.default_payment_method)
        for one in bought
    ]
    first, again, other = [method.card.fingerprint for method in methods]
    assert first == again != other
    assert len(first) == 16
    charges = await shop.api.v1.charges.list_async()
    shown = [charge.payment_method_details.card.fingerprint for charge in charges.data]
    assert sorted(shown) == sorted([first, again, other])


async def test_the_events_of_an_order_come_in_the_order_of_their_making(shop):
    await shop.buy()
    await shop.driver.wait_idle()

    types = [t for t in shop.receiver.types() if not t.startswith(("price", "product"))]
    assert [t for t in types if t.startswith(("invoice", "customer.sub", "checkout"))] == [
        "invoice.created",
        "invoice.finalized",
        "invoice.paid",
        "invoice.payment_succeeded",
        "invoice_payment.paid",
        "customer.subscription.created",
        "checkout.session.completed",
    ]
    completed = shop.receiver.last("checkout.session.completed")
    assert completed["data"]["object"]["subscription"].startswith("sub_")
    assert completed["data"]["object"]["payment_intent"] is None
    assert completed["livemode"] is False
    assert completed["api_version"] == "2026-10-28.endive"


@pytest.mark.parametrize(
    ("card", "message"),
    [
        ("4000000000000002", "Your card was declined."),
        ("4000000000009995", "Your card has insufficient funds."),
        ("4000000000000341", "Your card was declined."),
        ("4000000000000069", "Your card has expired."),
        ("4111111111111111", "Your request was in test mode, but used a non test card"),
    ],
)
async def test_a_declined_card_shows_the_error_and_leaves_the_session_open(shop, card, message):
    session = await shop.open()

    result = await shop.driver.pay(session.id, card)

    assert result.status == 402
    assert message in result.error
    again = await shop.api.v1.checkout.sessions.retrieve_async(session.id)
    assert (again.status, again.subscription) == ("open", None)
    assert (await shop.api.v1.subscriptions.list_async()).data == []
    assert (await shop.driver.pay(session.id)).status == 303


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"card": "4242424242424241"}, "Your card number is invalid."),
        ({"card": "4242"}, "Your card number is incomplete."),
        ({"expiry": "13/30"}, "Your card's expiration date is invalid."),
        ({"expiry": "01/20"}, "Your card's expiration date is in the past."),
        ({"expiry": "1"}, "Your card's expiration date is incomplete."),
        ({"cvc": "12"}, "Your card's security code is incomplete."),
        ({"name": " "}, "Enter the name on the card."),
    ],
)
async def test_a_field_that_is_wrong_is_named(shop, typed, message):
    session = await shop.open()
    result = await shop.driver.pay(session.id, **typed)
    assert (result.status, result.error) == (400, message)


async def test_a_card_that_needs_authentication_asks_for_it_first(shop):
    session = await shop.open()

    asked = await shop.driver.pay(session.id, "4000002760003184")
    assert (asked.status, asked.location) == (200, None)
    refused = await shop.driver.authenticate(session.id, asked.challenge, succeed=False)
    assert "unable to authenticate" in refused.error

    asked = await shop.driver.pay(session.id, "4000002760003184")
    paid = await shop.driver.authenticate(session.id, asked.challenge)
    assert paid.status == 303
    used_up = await shop.driver.authenticate(session.id, asked.challenge)
    assert used_up.status == 410


async def test_a_session_cannot_be_paid_twice(shop):
    session = await shop.open()
    await shop.driver.pay(session.id)

    again = await shop.driver.pay(session.id)

    assert again.status == 410
    assert len((await shop.api.v1.subscriptions.list_async()).data) == 1


async def test_an_expired_session_cannot_be_paid_and_is_announced(shop):
    session = await shop.open()

    expired = await shop.api.v1.checkout.sessions.expire_async(session.id)

    assert (expired.status, expired.url) == ("expired", None)
    assert (await shop.driver.pay(session.id)).status == 410
    await shop.driver.wait_idle()
    assert shop.receiver.last("checkout.session.expired")["data"]["object"]["id"] == session.id
    with pytest.raises(stripe.InvalidRequestError, match="can be expired"):
        await shop.api.v1.checkout.sessions.expire_async(session.id)


async def test_a_session_expires_by_itself_when_its_time_is_over(shop):
    clock, customer = await shop.clocked_customer()
    session = await shop.open(customer=customer)
    await shop.driver.advance_clock(clock, session.expires_at)
    expired = await shop.api.v1.checkout.sessions.retrieve_async(session.id)
    assert expired.status == "expired"


async def test_a_recovery_link_opens_the_expired_order_again(shop):
    session = await shop.open(after_expiration={"recovery": {"enabled": True}})
    expired = await shop.api.v1.checkout.sessions.expire_async(session.id)
    link = expired.after_expiration.recovery.url

    async with ClientSession() as browser, browser.get(link) as page:
        assert page.status == 200
        recovered_id = page.url.path.rpartition("/")[2]

    recovered = await shop.api.v1.checkout.sessions.retrieve_async(recovered_id)
    assert (recovered.recovered_from, recovered.status) == (session.id, "open")
    assert (await shop.driver.pay(recovered.id)).status == 303


async def test_a_trial_costs_nothing_today_but_what_is_bought_once(shop):
    trial = {"trial_period_days": 14, "metadata": {"a": "b"}}
    session = await shop.open("monthly", "domain", subscription_data=trial)
    assert session.amount_total == 1299
    await shop.driver.pay(session.id)

    paid = await shop.api.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["subscription.latest_invoice"]}
    )

    subscription = paid.subscription
    assert subscription.status == "trialing"
    assert subscription.trial_end - subscription.trial_start == 14 * 86400
    assert subscription.latest_invoice.amount_paid == 1299
    term = next(line for line in subscription.latest_invoice.lines.data if line.amount == 0)
    assert term.period.end == subscription.trial_end


async def test_a_free_trial_has_an_invoice_of_nothing_and_no_payment(shop):
    subscription = await shop.buy(subscription_data={"trial_period_days": 14})
    invoice = await shop.api.v1.invoices.retrieve_async(
        subscription.latest_invoice, {"expand": ["payments"]}
    )
    assert (invoice.status, invoice.total, invoice.payments.data) == ("paid", 0, [])
    await shop.driver.wait_idle()
    completed = shop.receiver.last("checkout.session.completed")["data"]["object"]
    assert completed["payment_status"] == "no_payment_required"
    assert "invoice_payment.paid" not in shop.receiver.types()


async def test_an_order_of_nothing_needs_no_card_where_it_is_optional(shop):
    session = await shop.open(
        subscription_data={"trial_period_days": 14}, payment_method_collection="if_required"
    )
    async with ClientSession() as browser:
        async with browser.get(session.url) as page:
            assert "cardNumber" not in await page.text()
        form = {"email": "ada@example.com"}
        async with browser.post(session.url, data=form, allow_redirects=False) as answer:
            assert answer.status == 303


async def test_a_discount_is_shown_and_taken_off_the_first_invoice_only(shop):
    await shop.api.v1.coupons.create_async(
        {"id": "WELCOME10", "percent_off": 10, "duration": "once"}
    )
    subscription = await shop.buy("monthly", "domain", discounts=[{"coupon": "WELCOME10"}])
    invoice = await shop.api.v1.invoices.retrieve_async(
        subscription.latest_invoice, {"expand": ["discounts.source.coupon"]}
    )
    assert (invoice.subtotal, invoice.total) == (2299, 2069)
    assert sum(d.amount for d in invoice.total_discount_amounts) == 230
    assert invoice.discounts[0].source.coupon.id == "WELCOME10"
    assert subscription.discounts == []
    coupon = await shop.api.v1.coupons.retrieve_async("WELCOME10")
    assert coupon.times_redeemed == 1


async def test_a_coupon_for_one_invoice_is_used_up_by_the_invoice_of_a_trial(shop):
    await shop.api.v1.coupons.create_async({"id": "ONCE", "percent_off": 10, "duration": "once"})
    trial = {"trial_period_days": 14}
    subscription = await shop.buy(subscription_data=trial, discounts=[{"coupon": "ONCE"}])
    assert subscription.discounts == []


async def test_a_promotion_code_leads_to_its_coupon(shop):
    await shop.api.v1.coupons.create_async(
        {"id": "FIVE", "amount_off": 500, "currency": "usd", "duration": "forever"}
    )
    code = await shop.api.v1.promotion_codes.create_async(
        {"promotion": {"type": "coupon", "coupon": "FIVE"}, "code": "SAVE5"}
    )
    session = await shop.open(discounts=[{"promotion_code": code.id}])
    assert session.amount_total == 500
    assert session.total_details.amount_discount == 500
    await shop.driver.pay(session.id)
    used = await shop.api.v1.promotion_codes.retrieve_async(code.id)
    assert used.times_redeemed == 1


async def test_the_page_says_what_is_bought_and_works_without_scripts(shop):
    session = await shop.open(
        "monthly",
        "domain",
        subscription_data={"trial_period_days": 14},
        custom_text={"submit": {"message": "After the trial: <b>$10.00</b>"}},
    )
    async with ClientSession() as browser, browser.get(session.url) as page:
        html = await page.text()
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
    for name in ("cardNumber", "cardExpiry", "cardCvc", "billingName"):
        assert f'<label for="{name}">' in html
        assert f'id="{name}" name="{name}"' in html
    assert 'data-testid="hosted-payment-submit-button"' in html
    assert "After the trial: &lt;b&gt;$10.00&lt;/b&gt;" in html
    assert re.search(r"Total due today</th><td[^>]*>\$12\.99<", html)
    assert "Free trial until" in html
    assert 'href="https://shop.example/pricing"' in html
    assert "<script" not in html


async def test_an_unknown_page_says_so(shop, sandbox):
    async with ClientSession() as browser:
        for path in ("/c/pay/cs_test_none", "/c/recover/cs_test_none", "/i/in_none"):
            async with browser.get(sandbox.url + path) as page:
                assert page.status == 404


@pytest.mark.parametrize(
    ("change", "param", "message"),
    [
        ({"success_url": "shop.example"}, "success_url", "Not a valid URL"),
        ({"customer": "cus_none"}, "customer", "No such customer"),
        ({"expires_at": 1}, "expires_at", "at least 30 minutes"),
        ({"expires_at": 9_999_999_999}, "expires_at", "less than 24 hours"),
        (
            {"line_items": [{"price": "price_none", "quantity": 1}]},
            "line_items[0][price]",
            "No such",
        ),
        ({"discounts": [{"coupon": "NONE"}]}, "discounts[0][coupon]", "No such coupon"),
        ({"subscription_data": {"trial_period_days": 0}}, None, "trial must be"),
        ({"subscription_data": {"trial_end": 1}}, None, "at least 2 days"),
        ({"phone_number_collection": {"enabled": True}}, "phone_number_collection", "not support"),
        (
            {"subscription_data": {"proration_behavior": "none"}},
            "subscription_data[proration_behavior]",
            "not support",
        ),
    ],
)
async def test_what_checkout_would_refuse_is_refused(shop, change, param, message):
    with pytest.raises(stripe.InvalidRequestError, match=re.escape(message)) as refused:
        await shop.open(**change)
    assert refused.value.http_status == 400
    if param:
        assert refused.value.param == param


async def test_a_session_sells_recurring_prices_of_one_interval_only(shop):
    with pytest.raises(stripe.InvalidRequestError, match="different billing intervals"):
        await shop.open("monthly", "yearly")
    with pytest.raises(stripe.InvalidRequestError, match="at least one recurring price"):
        await shop.open("domain")
    euros = await shop.add_price("euros", 900, {"interval": "month"}, currency="eur")
    with pytest.raises(stripe.InvalidRequestError, match="same currency"):
        await shop.open("monthly", "euros")
    await shop.api.v1.prices.update_async(euros, {"active": False})
    with pytest.raises(stripe.InvalidRequestError, match="inactive"):
        await shop.open("euros")


async def test_sessions_are_listed_by_customer_and_with_their_lines(shop):
    customer = await shop.api.v1.customers.create_async({"email": "ada@example.com"})
    session = await shop.open("monthly", "domain", customer=customer.id)
    await shop.open()

    mine = await shop.api.v1.checkout.sessions.list_async({"customer": customer.id})
    lines = await shop.api.v1.checkout.sessions.line_items.list_async(session.id)

    assert [found.id for found in mine.data] == [session.id]
    assert [line.price.id for line in lines.data] == [
        shop.prices["monthly"],
        shop.prices["domain"],
    ]


async def with_code(shop, **terms) -> None:
    coupon = await shop.api.v1.coupons.create_async({"percent_off": 20, "duration": "once"})
    await shop.api.v1.promotion_codes.create_async(
        {"promotion": {"type": "coupon", "coupon": coupon.id}, "code": "SPRING", **terms}
    )


async def test_the_page_takes_a_promotion_code_if_the_session_does(shop):
    await with_code(shop)
    session = await shop.open(allow_promotion_codes=True)
    assert "Promotion code" in await page_of(session)
    wrong = await shop.driver.pay(session.id, promotionCode="WINTER")
    assert (wrong.status, wrong.error) == (402, "This code is invalid.")
    await shop.driver.pay(session.id, promotionCode="spring", action="update")
    priced = await shop.api.v1.checkout.sessions.retrieve_async(session.id)
    assert (priced.status, priced.amount_total, priced.total_details.amount_discount) == (
        "open", 800, 200,
    )  # fmt: skip
    assert (await shop.driver.pay(session.id)).status == 303
    paid = await shop.api.v1.checkout.sessions.retrieve_async(session.id)
    [invoice] = await shop.invoices(paid.subscription)
    assert invoice.total == 800
    code = (await shop.api.v1.promotion_codes.list_async({"code": "SPRING"})).data[0]
    assert code.times_redeemed == 1


async def test_without_the_param_there_is_no_field_and_no_code_is_taken(shop):
    await with_code(shop)
    session = await shop.open()
    assert "Promotion code" not in await page_of(session)
    refused = await shop.driver.pay(session.id, promotionCode="SPRING")
    assert (refused.status, refused.error) == (402, "This session does not take promotion codes.")


async def test_a_code_that_may_not_be_redeemed_is_refused_at_the_page(shop):
    await with_code(shop, restrictions={"minimum_amount": 5000, "minimum_amount_currency": "usd"})
    session = await shop.open(allow_promotion_codes=True)
    refused = await shop.driver.pay(session.id, promotionCode="SPRING")
    assert refused.status == 402
    assert "below its minimum" in refused.error


async def test_the_buyer_adjusts_quantities_within_their_bounds(shop):
    lines = shop.lines("monthly", "domain")
    lines[0]["adjustable_quantity"] = {"enabled": True, "minimum": 1, "maximum": 3}
    lines[1]["adjustable_quantity"] = {"enabled": True}
    session = await shop.open(line_items=lines)
    assert 'id="quantity_1"' in await page_of(session)
    refused = await shop.driver.pay(session.id, quantity_0="4")
    assert refused.error == "The quantity must be between 1 and 3."
    assert (await shop.driver.pay(session.id, quantity_0="x")).status == 400
    assert (await shop.driver.pay(session.id, quantity_0="3", quantity_1="0")).status == 303
    paid = await shop.api.v1.checkout.sessions.retrieve_async(
        session.id, {"expand": ["subscription"]}
    )
    assert paid.amount_total == 3000
    assert [item.quantity for item in paid.subscription["items"].data] == [3]
    [invoice] = await shop.invoices(paid.subscription.id)
    assert invoice.total == 3000


async def test_a_fixed_quantity_stays(shop):
    session = await shop.open()
    refused = await shop.driver.pay(session.id, quantity_0="2")
    assert refused.status == 402


async def page_of(session) -> str:
    async with ClientSession() as browser, browser.get(session.url) as page:
        return await page.text()
