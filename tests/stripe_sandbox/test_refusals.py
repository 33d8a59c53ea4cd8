"""What Stripe refuses, the sandbox refuses too."""

import pytest
import stripe
from aiohttp import ClientSession

from tests.stripe_sandbox.calls import customer_with_card, refused, subscribe
from tests.stripe_sandbox.conftest import DAY, START

MONTH = {"interval": "month"}


async def test_a_customer_has_one_currency_at_a_time(shop):
    await shop.add_price("euro", 1000, MONTH, currency="eur")
    customer, _ = await customer_with_card(shop)
    subscription = await subscribe(shop, customer)
    with refused("cannot combine currencies"):
        await subscribe(shop, customer, "euro")
    with refused("cannot combine currencies"):
        await shop.open("euro", customer=customer)
    await shop.api.v1.subscriptions.cancel_async(subscription.id)
    assert (await subscribe(shop, customer, "euro")).currency == "eur"


async def test_a_pending_invoice_item_fixes_the_currency_too(shop):
    customer, _ = await customer_with_card(shop)
    await shop.api.v1.invoice_items.create_async(
        {"customer": customer, "amount": 100, "currency": "eur"}
    )
    with refused("invoice item with currency eur"):
        await subscribe(shop, customer)


async def test_a_card_of_another_customer_is_refused_everywhere(shop):
    customer, _ = await customer_with_card(shop)
    _, foreign = await customer_with_card(shop)
    subscription = await subscribe(shop, customer)
    mine = {"default_payment_method": foreign}
    sentence = "does not have a payment method with the ID"
    with refused(sentence, "default_payment_method"):
        await subscribe(shop, customer, **mine)
    with refused(sentence, "default_payment_method"):
        await shop.api.v1.subscriptions.update_async(subscription.id, mine)
    with refused(sentence, "invoice_settings[default_payment_method]"):
        await shop.api.v1.customers.update_async(customer, {"invoice_settings": mine})
    with refused("already been attached"):
        await shop.api.v1.payment_methods.attach_async(foreign, {"customer": customer})
    open_one = await subscribe(shop, customer, payment_behavior="default_incomplete")
    with refused(sentence, "payment_method"):
        await shop.api.v1.invoices.pay_async(open_one.latest_invoice, {"payment_method": foreign})


async def test_a_detached_card_is_gone_for_good(shop):
    customer, card = await customer_with_card(shop)
    methods = shop.api.v1.payment_methods
    assert (await methods.detach_async(card)).customer is None
    with refused("may not be used again"):
        await methods.attach_async(card, {"customer": customer})
    with refused("not attached to a customer so detachment is impossible"):
        await methods.detach_async(card)


async def test_a_default_price_is_not_archived(shop):
    await shop.api.v1.products.update_async(shop.product, {"default_price": shop.prices["monthly"]})
    with refused("default price of its product", "active"):
        await shop.api.v1.prices.update_async(shop.prices["monthly"], {"active": False})
    await shop.api.v1.prices.update_async(shop.prices["yearly"], {"active": False})


async def test_an_inactive_price_is_not_sold(shop):
    customer, _ = await customer_with_card(shop)
    subscription = await subscribe(shop, customer)
    for name in ("bigger", "domain"):
        await shop.api.v1.prices.update_async(shop.prices[name], {"active": False})
    with refused("price specified is inactive", "items[0][price]"):
        await subscribe(shop, customer, "bigger")
    with refused("price specified is inactive", "line_items[0][price]"):
        await shop.open("bigger")
    item = {"id": subscription.items.data[0].id, "price": shop.prices["bigger"]}
    with refused("price specified is inactive"):
        await shop.api.v1.subscriptions.update_async(subscription.id, {"items": [item]})
    with refused("price specified is inactive", "pricing[price]"):
        await shop.api.v1.invoice_items.create_async(
            {"customer": customer, "pricing": {"price": shop.prices["domain"]}}
        )


async def test_a_subscription_has_each_price_once(shop):
    customer, _ = await customer_with_card(shop)
    sentence = f"multiple subscription items with the same plan: {shop.prices['monthly']}"
    with refused(sentence, "items"):
        await subscribe(shop, customer, "monthly", "monthly")
    subscription = await subscribe(shop, customer)
    with refused(sentence, "items"):
        await shop.api.v1.subscriptions.update_async(
            subscription.id, {"items": [{"price": shop.prices["monthly"]}]}
        )


@pytest.mark.parametrize("param", ["cancel_at", "proration_date"])
async def test_times_in_the_past_are_refused(shop, param):
    clock, customer = await shop.clocked_customer()
    await shop.driver.replace_card(customer)
    subscription = await subscribe(shop, customer)
    await shop.driver.advance_clock(clock, START + DAY)
    changes = {param: START - 1}
    if param == "proration_date":
        item = {"id": subscription.items.data[0].id, "price": shop.prices["bigger"]}
        changes["items"] = [item]
    with refused(f"Invalid {param}", param):
        await shop.api.v1.subscriptions.update_async(subscription.id, changes)
    if param == "cancel_at":
        with refused("Invalid cancel_at", param):
            await subscribe(shop, customer, "bigger", **changes)


async def test_a_proration_after_the_period_is_refused_in_a_preview_too(shop):
    subscription = await shop.buy()
    item = subscription.items.data[0]
    details = {
        "items": [{"id": item.id, "price": shop.prices["bigger"]}],
        "proration_date": item.current_period_end + 1,
    }
    with refused("Invalid proration_date", "proration_date"):
        await shop.api.v1.invoices.create_preview_async(
            {"subscription": subscription.id, "subscription_details": details}
        )


async def test_an_unknown_currency_is_refused(shop):
    with refused("Invalid currency: xxx. Stripe currently supports these currencies: usd, aed"):
        await shop.add_price("odd", 100, None, currency="xxx")
    customer, _ = await customer_with_card(shop)
    with refused("Invalid currency: xxx", "currency"):
        await shop.api.v1.invoice_items.create_async(
            {"customer": customer, "amount": 100, "currency": "xxx"}
        )
    with refused("Invalid currency: xxx", "currency"):
        await shop.api.v1.coupons.create_async({"amount_off": 5, "currency": "xxx"})


async def test_events_are_listed_by_type_or_types(api):
    with refused("only specify one of these parameters: type, types"):
        await api.v1.events.list_async({"type": "x.y", "types": ["x.z"]})


async def ask(sandbox, **headers):
    every = {"Authorization": "Bearer sk_test_x"} | headers
    async with (
        ClientSession(headers=every) as browser,
        browser.get(f"{sandbox.url}/v1/customers") as answer,
    ):
        return answer.status, answer.headers["Stripe-Version"], await answer.json()


@pytest.mark.parametrize(
    "version",
    ["2020-08-27", "2024-09-30.acacia", "2025-03-31.basil", "2026-02-25.clover",
     "2026-08-26.dahlia", stripe.api_version, "2025-04-30.preview"],
)  # fmt: skip
async def test_known_versions_are_accepted_and_served_in_the_sandboxs_own(sandbox, version):
    status, served, _ = await ask(sandbox, **{"Stripe-Version": version})
    assert (status, served) == (200, stripe.api_version)


@pytest.mark.parametrize(
    "version", ["latest", "2020-08-28", "2025-03-31", "2024-01-01.acacia", "2999-01-01.endive", ""]
)
async def test_other_versions_are_refused(sandbox, version):
    status, _, body = await ask(sandbox, **{"Stripe-Version": version})
    assert status == 400
    assert body["error"]["message"] == f"Invalid Stripe API version: {version}"


async def test_an_unknown_account_is_refused(sandbox, api):
    status, _, body = await ask(sandbox, **{"Stripe-Account": "acct_other"})
    assert (status, body["error"]["code"]) == (403, "account_invalid")
    own = (await api.v1.accounts.retrieve_current_async()).id
    assert (await ask(sandbox, **{"Stripe-Account": own}))[0] == 200
