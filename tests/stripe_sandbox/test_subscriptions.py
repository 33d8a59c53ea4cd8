"""Subscriptions, invoices and refunds through the API."""

import pytest
import stripe
from aiohttp import ClientSession

from tests.stripe_sandbox.conftest import DAY, PENDING, START


async def customer_with_card(api, method="pm_card_visa") -> str:
    customer = await api.v1.customers.create_async(
        {
            "email": "ada@example.com",
            "payment_method": method,
            "invoice_settings": {"default_payment_method": method},
        }
    )
    return customer.id


async def test_a_subscription_charges_the_customers_card(shop):
    customer = await customer_with_card(shop.api)
    subscription = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"], "quantity": 2}],
            "add_invoice_items": [{"price": shop.prices["domain"]}],
        }
    )
    assert subscription.status == "active"
    invoice = await shop.api.v1.invoices.retrieve_async(
        subscription.latest_invoice, {"expand": ["payments.data.payment.payment_intent"]}
    )
    assert invoice.total == 3299
    intent = invoice.payments.data[0].payment.payment_intent
    assert (intent.status, intent.amount_received) == ("succeeded", 3299)


async def test_a_subscription_that_is_not_paid_stays_incomplete(shop):
    customer = await customer_with_card(shop.api, "pm_card_chargeCustomerFail")
    order = {"customer": customer, "items": [{"price": shop.prices["monthly"]}]}
    subscription = await shop.api.v1.subscriptions.create_async(order)
    assert subscription.status == "incomplete"

    strict = order | {"payment_behavior": "error_if_incomplete"}
    with pytest.raises(stripe.CardError) as declined:
        await shop.api.v1.subscriptions.create_async(strict)
    assert declined.value.http_status == 402
    listed = await shop.api.v1.subscriptions.list_async({"status": "all"})
    assert [one.id for one in listed.data] == [subscription.id]


async def test_an_incomplete_subscription_becomes_active_once_its_invoice_is_paid(shop):
    customer = await customer_with_card(shop.api)
    subscription = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}],
            "payment_behavior": "default_incomplete",
        }
    )
    assert subscription.status == "incomplete"
    paid = await shop.api.v1.invoices.pay_async(subscription.latest_invoice)
    assert paid.status == "paid"
    assert (await shop.fetch(subscription.id)).status == "active"


async def test_an_incomplete_subscription_expires_after_a_day(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}],
            "payment_behavior": "default_incomplete",
        }
    )
    await shop.driver.advance_clock(clock, subscription.created + 24 * 3600)
    assert (await shop.fetch(subscription.id)).status == "incomplete_expired"
    assert (await shop.invoices(subscription.id))[0].status == "void"


async def test_until_its_billing_cycle_anchor_a_subscription_is_free(shop):
    clock, customer = await shop.clocked_customer()
    anchor = START + 10 * DAY
    order = {
        "customer": customer,
        "items": [{"price": shop.prices["monthly"]}],
        "billing_cycle_anchor": anchor,
        "proration_behavior": "none",
    }
    subscription = await shop.api.v1.subscriptions.create_async(order)
    [item] = subscription["items"].data
    assert (subscription.status, subscription.latest_invoice) == ("active", None)
    assert (item.current_period_start, item.current_period_end) == (START, anchor)

    await shop.driver.advance_clock(clock, anchor + 2 * 3600)
    subscription = await shop.fetch(subscription.id)
    invoice = await shop.api.v1.invoices.retrieve_async(subscription.latest_invoice)
    assert (invoice.billing_reason, invoice.total) == ("subscription_cycle", 1000)
    [item] = subscription["items"].data
    assert item.current_period_start == anchor

    for refused in (
        {"billing_cycle_anchor": anchor},
        {"billing_cycle_anchor": anchor + 40 * DAY},
        {"trial_period_days": 3, "billing_cycle_anchor": anchor + 20 * DAY},
    ):
        with pytest.raises(stripe.InvalidRequestError) as raised:
            await shop.api.v1.subscriptions.create_async(order | refused)
        assert raised.value.param == "billing_cycle_anchor"


async def test_without_a_card_there_is_no_subscription(shop):
    customer = await shop.api.v1.customers.create_async({"email": "ada@example.com"})
    with pytest.raises(stripe.InvalidRequestError, match="no attached payment source"):
        await shop.api.v1.subscriptions.create_async(
            {"customer": customer.id, "items": [{"price": shop.prices["monthly"]}]}
        )


async def test_one_time_prices_are_not_terms(shop):
    customer = await customer_with_card(shop.api)
    with pytest.raises(stripe.InvalidRequestError, match="only accepts prices"):
        await shop.api.v1.subscriptions.create_async(
            {"customer": customer, "items": [{"price": shop.prices["domain"]}]}
        )


async def test_cancelling_ends_at_once_and_only_once(shop):
    subscription = await shop.buy()
    canceled = await shop.api.v1.subscriptions.cancel_async(
        subscription.id, {"cancellation_details": {"comment": "too slow"}}
    )
    assert (canceled.status, canceled.cancellation_details.comment) == ("canceled", "too slow")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.subscriptions.cancel_async(subscription.id)
    assert refused.value.http_status == 404
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.subscriptions.update_async(subscription.id, {"description": "x"})
    assert refused.value.code == "invalid_canceled_subscription_fields"


async def test_subscriptions_are_listed_by_price_and_status(shop):
    monthly, yearly = await shop.buy("monthly"), await shop.buy("yearly")
    await shop.api.v1.subscriptions.cancel_async(yearly.id)

    async def listed(**params):
        page = await shop.api.v1.subscriptions.list_async(params)
        return {one.id for one in page.data}

    assert await listed() == {monthly.id}
    assert await listed(status="all") == {monthly.id, yearly.id}
    assert await listed(status="ended") == {yearly.id}
    assert await listed(price=shop.prices["yearly"], status="all") == {yearly.id}
    assert await listed(customer=monthly.customer) == {monthly.id}
    assert await listed(created={"gte": monthly.created + 999}) == set()


async def test_a_change_of_metadata_is_announced_with_what_it_was(shop):
    subscription = await shop.buy(subscription_data={"metadata": {"a": "1", "b": "2"}})
    changed = await shop.api.v1.subscriptions.update_async(
        subscription.id, {"metadata": {"a": "", "c": "3"}}
    )
    assert dict(changed.metadata._data) == {"b": "2", "c": "3"}
    await shop.driver.wait_idle()
    event = shop.receiver.last("customer.subscription.updated")
    assert event["data"]["previous_attributes"] == {"metadata": {"a": "1", "c": None}}
    assert event["request"]["id"].startswith("req_")


async def test_items_are_listed(shop):
    subscription = await shop.buy()
    page = await shop.api.v1.subscription_items.list_async({"subscription": subscription.id})
    assert [item.id for item in page.data] == [subscription.items.data[0].id]


async def test_a_subscription_shows_ten_items_and_lists_the_rest(shop):
    customer = await customer_with_card(shop.api)
    prices = [await shop.add_price(f"p{n}", 100, {"interval": "month"}) for n in range(12)]
    subscription = await shop.api.v1.subscriptions.create_async(
        {"customer": customer, "items": [{"price": price} for price in prices]}
    )
    assert (len(subscription.items.data), subscription.items.has_more) == (10, True)
    page = await shop.api.v1.subscription_items.list_async(
        {"subscription": subscription.id, "limit": 100}
    )
    assert {item.price.id for item in page.data} == set(prices)
    invoice = (await shop.invoices(subscription.id))[0]
    assert (invoice.total, len(invoice.lines.data), invoice.lines.has_more) == (1200, 10, True)
    lines = [line.id async for line in invoice.lines.auto_paging_iter()]
    assert len(set(lines)) == 12
    await shop.driver.wait_idle()
    created = shop.receiver.last("customer.subscription.created")["data"]["object"]
    assert (len(created["items"]["data"]), created["items"]["has_more"]) == (10, True)


async def test_expanding_a_listed_object_leaves_the_object_itself_alone(shop):
    subscription = await shop.buy()
    subscriptions = shop.api.v1.subscriptions
    await subscriptions.list_async({"expand": ["data.items.data.price"]})
    plain = await subscriptions.retrieve_async(subscription.id)
    assert plain.items.data[0].price.product == shop.product


async def test_payments_of_an_invoice_are_found_by_invoice_and_by_payment(shop):
    subscription = await shop.buy()
    by_invoice = await shop.api.v1.invoice_payments.list_async(
        {"invoice": subscription.latest_invoice}
    )
    intent = by_invoice.data[0].payment.payment_intent
    by_payment = await shop.api.v1.invoice_payments.list_async(
        {"payment": {"type": "payment_intent", "payment_intent": intent}}
    )
    assert [one.id for one in by_payment.data] == [by_invoice.data[0].id]
    one = await shop.api.v1.invoice_payments.retrieve_async(by_invoice.data[0].id)
    assert (one.amount_paid, one.status) == (1000, "paid")
    fetched = await shop.api.v1.payment_intents.retrieve_async(
        intent, {"expand": ["latest_charge", "payment_method"]}
    )
    assert fetched.latest_charge.paid is True
    assert fetched.payment_method.card.last4 == "4242"


async def test_a_payment_is_refunded_in_parts_but_never_more_than_it_was(shop):
    subscription = await shop.buy()
    page = await shop.api.v1.invoice_payments.list_async({"invoice": subscription.latest_invoice})
    intent = page.data[0].payment.payment_intent
    part = await shop.api.v1.refunds.create_async({"payment_intent": intent, "amount": 400})
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        await shop.api.v1.refunds.create_async({"payment_intent": intent, "amount": 601})
    await shop.api.v1.refunds.create_async({"charge": part.charge})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.refunds.create_async({"payment_intent": intent})
    assert refused.value.code == "charge_already_refunded"
    listed = await shop.api.v1.refunds.list_async({"payment_intent": intent})
    assert [one.amount for one in listed.data] == [600, 400]
    assert (await shop.api.v1.refunds.retrieve_async(part.id)).status == "succeeded"
    await shop.driver.wait_idle()
    assert shop.receiver.last("charge.refunded")["data"]["object"]["refunded"] is True


async def test_an_open_invoice_can_be_voided_written_off_or_paid_elsewhere(shop):
    customer = await customer_with_card(shop.api)

    async def open_invoice() -> str:
        subscription = await shop.api.v1.subscriptions.create_async(
            {
                "customer": customer,
                "items": [{"price": shop.prices["monthly"]}],
                "payment_behavior": "default_incomplete",
            }
        )
        return subscription.latest_invoice

    invoices = shop.api.v1.invoices
    voided = await invoices.void_invoice_async(await open_invoice())
    assert (voided.status, voided.status_transitions.voided_at is None) == ("void", False)
    with pytest.raises(stripe.InvalidRequestError, match="void"):
        await invoices.pay_async(voided.id)
    lost = await invoices.mark_uncollectible_async(await open_invoice())
    assert lost.status == "uncollectible"
    paid = await invoices.pay_async(await open_invoice(), {"paid_out_of_band": True})
    assert (paid.status, paid.amount_paid) == ("paid", 0)
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        await invoices.pay_async(paid.id)
    await shop.driver.wait_idle()
    assert {"invoice.voided", "invoice.marked_uncollectible"} <= set(shop.receiver.types())


async def test_a_declined_manual_payment_returns_402_and_counts_as_the_first_attempt_only(shop):
    customer = await customer_with_card(shop.api, "pm_card_chargeCustomerFail")
    subscription = await shop.api.v1.subscriptions.create_async(
        {"customer": customer, "items": [{"price": shop.prices["monthly"]}]}
    )
    with pytest.raises(stripe.CardError) as declined:
        await shop.api.v1.invoices.pay_async(subscription.latest_invoice)
    assert declined.value.code == "card_declined"
    invoice = await shop.api.v1.invoices.retrieve_async(subscription.latest_invoice)
    assert invoice.attempt_count == 1


async def test_a_manual_invoice_includes_pending_items(shop):
    customer = await customer_with_card(shop.api)
    await shop.api.v1.invoice_items.create_async(
        {"customer": customer, "amount": 700, "currency": "usd"}
    )
    draft = await shop.api.v1.invoices.create_async({"customer": customer, **PENDING})
    assert (draft.status, draft.total, draft.parent) == ("draft", 700, None)
    lines = await shop.api.v1.invoices.line_items.list_async(draft.id)
    assert [line.amount for line in lines.data] == [700]
    opened = await shop.api.v1.invoices.finalize_invoice_async(draft.id)
    assert opened.status == "open"
    assert opened.number.endswith("-0001")
    assert (await shop.api.v1.invoices.pay_async(draft.id)).amount_paid == 700


async def test_a_deleted_draft_releases_its_pending_items(shop):
    customer = await customer_with_card(shop.api)
    item = await shop.api.v1.invoice_items.create_async(
        {"customer": customer, "amount": 700, "currency": "usd", "description": "a"}
    )
    draft = await shop.api.v1.invoices.create_async({"customer": customer, **PENDING})
    await shop.api.v1.invoices.delete_async(draft.id)
    changed = await shop.api.v1.invoice_items.update_async(item.id, {"amount": 800})
    assert (changed.amount, changed.invoice) == (800, None)


async def test_a_preview_shows_the_next_invoice_and_keeps_nothing(shop):
    subscription = await shop.buy()
    preview = await shop.api.v1.invoices.create_preview_async({"subscription": subscription.id})
    assert (preview.total, preview.billing_reason) == (1000, "upcoming")
    assert len(await shop.invoices(subscription.id)) == 1


async def test_the_portal_ends_a_subscription_by_its_date(shop):
    subscription = await shop.buy()
    portal = await shop.api.v1.billing_portal.sessions.create_async(
        {"customer": subscription.customer, "return_url": "https://shop.example/account"}
    )
    async with ClientSession() as browser:
        form = {"subscription": subscription.id, "action": "cancel"}
        async with browser.post(portal.url, data=form) as page:
            html = await page.text()
    assert "will be cancelled" in html
    assert "https://shop.example/account" in html
    ending = await shop.fetch(subscription.id)
    assert ending.cancel_at == subscription.items.data[0].current_period_end
    assert ending.cancel_at_period_end is False


async def test_the_hosted_invoice_can_be_read(shop):
    subscription = await shop.buy()
    invoice = (await shop.invoices(subscription.id))[0]
    async with ClientSession() as browser, browser.get(invoice.hosted_invoice_url) as page:
        assert "$10.00" in await page.text()


async def test_deleting_a_customer_ends_its_subscriptions(shop):
    subscription = await shop.buy()
    await shop.api.v1.customers.delete_async(subscription.customer)
    assert (await shop.fetch(subscription.id)).status == "canceled"
    stub = await shop.api.v1.customers.retrieve_async(subscription.customer)
    assert stub.deleted is True
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.open(customer=subscription.customer)
    assert refused.value.code == "resource_missing"
