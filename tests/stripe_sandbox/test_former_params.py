"""Params of earlier API versions that programs of others still send."""

import pytest
from aiohttp import ClientSession

AUTH = {"Authorization": "Bearer sk_test_x"}


@pytest.fixture
async def post(sandbox):
    async with ClientSession(sandbox.url, headers=AUTH) as http:

        async def send(path, **form):
            async with http.post(f"/v1/{path}", data=form) as answer:
                content = await answer.json()
                assert answer.status == 200, content
                return content

        yield send


async def test_payment_method_types_are_the_allowed_ones(post):
    form = {"amount": 900, "currency": "usd", "payment_method_types[0]": "card"}
    intent = await post("payment_intents", **form)
    assert intent["payment_method_types"] == ["card"]


async def test_a_promotion_code_may_name_its_coupon_directly(post):
    coupon = await post("coupons", percent_off=10)
    code = await post("promotion_codes", coupon=coupon["id"])
    assert code["promotion"] == {"coupon": coupon["id"], "type": "coupon"}


async def test_iterations_of_a_phase_are_terms_of_its_price(post, shop):
    customer = await post("customers", email="ada@example.com", source="tok_visa")
    schedule = await post(
        "subscription_schedules",
        **{
            "customer": customer["id"],
            "start_date": "now",
            "phases[0][iterations]": 2,
            "phases[0][items][0][price]": shop.prices["yearly"],
        },
    )
    [phase] = schedule["phases"]
    years = (phase["end_date"] - phase["start_date"]) / 86_400 / 365
    assert 1.9 < years < 2.1


async def test_a_coupon_of_a_customer_discounts_what_they_subscribe_to(post, shop):
    coupon = await post("coupons", percent_off=10, duration="once")
    customer = await post(
        "customers", email="ada@example.com", source="tok_visa", coupon=coupon["id"]
    )
    assert customer["discount"]["source"]["coupon"] == coupon["id"]
    subscription = await shop.api.v1.subscriptions.create_async(
        {"customer": customer["id"], "items": [{"price": shop.prices["monthly"]}]}
    )
    [invoice] = await shop.invoices(subscription.id)
    found = await shop.api.v1.customers.retrieve_async(customer["id"])
    assert (invoice.total, invoice.status, found.discount) == (900, "paid", None)
