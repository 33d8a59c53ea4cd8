"""Prices and codes in several currencies."""

import pytest
import stripe


@pytest.fixture
async def price(shop):
    """Return a price of $10.00 and 9.00 euros a month."""
    return await shop.api.v1.prices.create_async(
        {
            "currency": "usd",
            "product": shop.product,
            "unit_amount": 1000,
            "recurring": {"interval": "month"},
            "currency_options": {"eur": {"unit_amount": 900}},
            "expand": ["currency_options"],
        }
    )


async def test_a_price_lists_what_it_costs_in_each_currency(shop, price):
    options = price.currency_options
    assert (options.usd.unit_amount, options.eur.unit_amount) == (1000, 900)
    changed = await shop.api.v1.prices.update_async(
        price.id,
        {"currency_options": {"gbp": {"unit_amount": 800}}, "expand": ["currency_options"]},
    )
    assert changed.currency_options.gbp.unit_amount == 800
    assert "currency_options" not in await shop.api.v1.prices.retrieve_async(price.id)


async def test_a_session_and_its_subscription_are_in_the_currency_that_is_asked_for(shop, price):
    lines = [{"price": price.id, "quantity": 1}]
    session = await shop.open(line_items=lines, currency="eur")
    assert (session.currency, session.amount_total) == ("eur", 900)
    subscription = await shop.buy(line_items=lines, currency="eur")
    [invoice] = await shop.invoices(subscription.id)
    assert (subscription.currency, invoice.currency, invoice.total) == ("eur", "eur", 900)
    changed = await shop.api.v1.subscriptions.update_async(
        subscription.id,
        {"items": [{"id": subscription["items"].data[0].id, "price": price.id, "quantity": 3}],
         "proration_behavior": "always_invoice"},
    )  # fmt: skip
    assert changed.currency == "eur"
    assert (await shop.invoices(subscription.id))[-1].total == 1800


async def test_a_subscription_is_created_in_a_currency(shop, price):
    customer = await shop.api.v1.customers.create_async({"email": "ada@example.com"})
    order = {"customer": customer.id, "items": [{"price": price.id}], "trial_period_days": 3}
    created = await shop.api.v1.subscriptions.create_async({**order, "currency": "eur"})
    assert created.currency == "eur"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.subscriptions.create_async({**order, "currency": "jpy"})
    assert "only supports `usd` and `eur`. This doesn't match" in str(refused.value)
    assert refused.value.param == "items[0][price]"
    with pytest.raises(stripe.InvalidRequestError, match="doesn't match the expected currency"):
        await shop.api.v1.subscriptions.update_async(
            created.id, {"items": [{"price": shop.prices["bigger"]}]}
        )


async def test_codes_have_sums_in_further_currencies(shop):
    v1 = shop.api.v1
    coupon = await v1.coupons.create_async(
        {"amount_off": 100, "currency": "usd", "currency_options": {"eur": {"amount_off": 90}}}
    )
    least = {"minimum_amount": 2000, "minimum_amount_currency": "usd"}
    options = {"currency_options": {"eur": {"minimum_amount": 500}}}
    code = await v1.promotion_codes.create_async(
        {
            "promotion": {"type": "coupon", "coupon": coupon.id},
            "restrictions": {**least, **options},
        }
    )
    assert "currency_options" not in code.to_dict()["restrictions"]
    expand = ["promotion.coupon.currency_options", "restrictions.currency_options"]
    shown = (await v1.promotion_codes.retrieve_async(code.id, {"expand": expand})).to_dict()
    amounts = shown["promotion"]["coupon"]["currency_options"]
    assert {one: told["amount_off"] for one, told in amounts.items()} == {"usd": 100, "eur": 90}
    minimums = shown["restrictions"]["currency_options"]
    assert {one: told["minimum_amount"] for one, told in minimums.items()} == {
        "usd": 2000,
        "eur": 500,
    }
    listed = await v1.promotion_codes.list_async({"expand": ["data.restrictions.currency_options"]})
    assert listed.to_dict()["data"][0]["restrictions"]["currency_options"] == minimums

    price = await v1.prices.create_async(
        {
            "currency": "usd",
            "product": shop.product,
            "unit_amount": 1000,
            "recurring": {"interval": "month"},
            "currency_options": {"eur": {"unit_amount": 900}, "gbp": {"unit_amount": 800}},
        }
    )
    page = {
        "mode": "subscription",
        "line_items": [{"price": price.id, "quantity": 1}],
        "success_url": "https://shop.example/",
        "discounts": [{"promotion_code": code.id}],
    }
    sessions = v1.checkout.sessions
    assert (await sessions.create_async({**page, "currency": "eur"})).amount_total == 810
    for currency, sentence in (("usd", "below its minimum"), ("gbp", "in this currency")):
        with pytest.raises(stripe.InvalidRequestError, match=sentence):
            await sessions.create_async({**page, "currency": currency})
    own = {"restrictions": {"currency_options": {"usd": {"minimum_amount": 1}}}}
    with pytest.raises(stripe.InvalidRequestError, match="its own currency"):
        await v1.promotion_codes.update_async(code.id, own)
