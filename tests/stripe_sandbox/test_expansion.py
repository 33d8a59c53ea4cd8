"""`expand` goes by the declared type of a field."""

import pytest
import stripe


async def test_objects_with_ids_of_our_own_are_expanded(api):
    await api.v1.products.create_async({"id": "starter", "name": "Starter"})
    price = await api.v1.prices.create_async(
        {"product": "starter", "currency": "usd", "unit_amount": 500, "expand": ["product"]}
    )
    assert (price.product.id, price.product.name) == ("starter", "Starter")


async def test_a_text_that_looks_like_an_id_is_not_a_reference(api):
    customer = await api.v1.customers.create_async({})
    product = await api.v1.products.create_async({"name": "x", "description": customer.id})
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        await api.v1.products.retrieve_async(product.id, {"expand": ["description"]})


@pytest.mark.parametrize("name", ["sources", "tax_ids", "subscriptions"])
async def test_lists_of_a_customer_come_when_asked_for(api, name):
    customer = await api.v1.customers.create_async({})
    assert name not in customer._data
    found = await api.v1.customers.retrieve_async(customer.id, {"expand": [name]})
    assert found[name]["data"] == []
    assert found[name]["url"] == f"/v1/customers/{customer.id}/{name}"


async def test_fields_of_coupons_and_prices_come_when_asked_for(shop):
    await shop.api.v1.coupons.create_async(
        {"id": "TEN", "percent_off": 10, "applies_to": {"products": [shop.product]}}
    )
    coupons, prices = shop.api.v1.coupons, shop.api.v1.prices
    assert "applies_to" not in (await coupons.retrieve_async("TEN"))._data
    coupon = await coupons.retrieve_async("TEN", {"expand": ["applies_to"]})
    assert coupon.applies_to.products == [shop.product]
    price = await prices.retrieve_async(
        shop.prices["monthly"], {"expand": ["tiers", "currency_options"]}
    )
    assert price.tiers is None
    assert price.currency_options["usd"]["unit_amount"] == 1000


async def test_the_coupon_of_a_discount_comes_without_what_was_not_asked_for(shop):
    terms = {"percent_off": 10, "duration": "forever", "applies_to": {"products": [shop.product]}}
    await shop.api.v1.coupons.create_async({"id": "TEN", **terms})
    subscription = await shop.buy(discounts=[{"coupon": "TEN"}])
    found = await shop.api.v1.subscriptions.retrieve_async(
        subscription.id, {"expand": ["discounts.source.coupon"]}
    )
    coupon = found.discounts[0].source.coupon
    assert (coupon.percent_off, "applies_to" in coupon._data) == (10, False)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("data.items.data.price.product", "more than 4 levels of a property. Property: data.items"),
        ("customer", r"You may want to try expanding 'data.customer' instead\."),
        ("data.metadata", "cannot be expanded"),
        ("data.nothing", "cannot be expanded"),
        ("data.items.price", "cannot be expanded"),
    ],
)
async def test_paths_that_cannot_be_expanded_are_refused(shop, path, sentence):
    await shop.buy()
    with pytest.raises(stripe.InvalidRequestError, match=sentence) as refused:
        await shop.api.v1.subscriptions.list_async({"expand": [path]})
    assert refused.value.param == "expand"


async def test_four_levels_are_expanded(shop):
    subscription = await shop.buy()
    found = await shop.api.v1.subscriptions.retrieve_async(
        subscription.id,
        {"expand": ["items.data.price.product", "latest_invoice.payments", "customer"]},
    )
    assert found["items"].data[0].price.product.name == "Starter"
    assert found.latest_invoice.payments.data[0].status == "paid"
    assert found.customer.email == "ada@example.com"
