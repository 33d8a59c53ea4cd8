"""Promotion codes that were made at Stripe, in quotes and orders."""

from typing import Any

import pytest

from tests.currencies import sell_in_currencies
from tests.inline_worker import InlineWorker
from tests.service import Service


@pytest.fixture
async def coupon(worker: InlineWorker) -> str:
    """A coupon of Stripe's own: a quarter off the first invoice."""
    v1 = worker.gateway.client.v1
    made = await v1.coupons.create_async(
        {"percent_off": 25, "duration": "once", "name": "A quarter"}
    )
    return made.id


async def make(worker: InlineWorker, coupon: str, code: str, **terms: Any) -> str:
    made = await worker.gateway.client.v1.promotion_codes.create_async(
        {"promotion": {"type": "coupon", "coupon": coupon}, "code": code, **terms}
    )
    return made.id


async def post(service: Service, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    async with service.client.post(f"/api/checkout/{path}", json=body) as response:
        return response.status, await response.json()


async def test_it_is_quoted_charged_as_quoted_and_on_record(
    service: Service, worker: InlineWorker, coupon: str, order_a: dict[str, Any]
) -> None:
    promotion = await make(worker, coupon, "Spring25")
    order = order_a | {"couponCode": "sprinG25"}
    status, quote = await post(service, "quote", order)
    assert (status, quote["coupon"]) == (200, "A quarter")
    bought = await service.buy(order)
    await worker.catch_up()
    row = await service.row(
        "SELECT i.amount_paid, o.coupon_code FROM invoices AS i"
        " JOIN orders AS o ON o.subscription_id = i.subscription_id"
        " WHERE i.subscription_id::text = $1",
        str(bought["subscriptionId"]),
    )
    assert (row["amount_paid"], row["coupon_code"]) == (quote["dueToday"], "SPRING25")
    used = await worker.gateway.client.v1.promotion_codes.retrieve_async(promotion)
    assert used.times_redeemed == 1
    had = await service.row("SELECT coupon_code, way, status FROM billing_redemptions")
    assert tuple(had) == ("SPRING25", "order", "active")


async def test_with_a_trial_it_waits_for_the_first_invoice(
    service: Service, worker: InlineWorker, coupon: str, order_a: dict[str, Any]
) -> None:
    await make(worker, coupon, "TRIAL25")
    order = order_a | {"couponCode": "TRIAL25", "trialActive": True}
    _, quote = await post(service, "quote", order)
    assert quote["discount"] > 0
    bought = await service.buy(order)
    await worker.catch_up()
    await service.stripe.advance_time(await service.stripe.now() + 40 * 86_400)
    await worker.catch_up()
    paid = await service.pool.fetchval(
        "SELECT max(amount_paid) FROM invoices WHERE subscription_id::text = $1",
        str(bought["subscriptionId"]),
    )
    assert paid == quote["dueAfterTrial"]


async def test_what_stripe_no_longer_takes_reads_as_unknown(
    service: Service, worker: InlineWorker, coupon: str, order_a: dict[str, Any]
) -> None:
    v1 = worker.gateway.client.v1
    customer = (await v1.customers.create_async({})).id
    await make(worker, coupon, "GONE", active=False)
    await make(worker, coupon, "PERSONAL", customer=customer)
    other = (await v1.products.create_async({"name": "Something else"})).id
    limited = await v1.coupons.create_async(
        {"percent_off": 10, "duration": "once", "applies_to": {"products": [other]}}
    )
    await make(worker, limited.id, "ELSEWHERE")
    answers = [
        await post(service, path, order_a | {"couponCode": code})
        for code in ("NOSUCH", "GONE", "PERSONAL", "ELSEWHERE")
        for path in ("quote", "create-session")
    ]
    assert {(status, body["code"]) for status, body in answers} == {(422, "unknown_coupon")}


async def test_its_minimum_and_its_first_order_are_held_to(
    service: Service, worker: InlineWorker, coupon: str, order_a: dict[str, Any]
) -> None:
    least = {"minimum_amount": 10_000_000, "minimum_amount_currency": "usd"}
    await make(worker, coupon, "LARGE", restrictions=least)
    await make(worker, coupon, "NEW", restrictions={"first_time_transaction": True})
    _, small = await post(service, "quote", order_a | {"couponCode": "LARGE"})
    assert small["code"] == "coupon_below_minimum"
    await service.buy(order_a | {"couponCode": "NEW"})
    await worker.catch_up()
    again = order_a | {"couponCode": "NEW", "billingCycle": "annually"}
    status, refusal = await post(service, "create-session", again)
    assert (status, refusal["code"]) == (409, "offer_unavailable")


async def test_stripe_being_down_refuses_the_code_not_the_order(
    service: Service, coupon: str, order_a: dict[str, Any]
) -> None:
    await service.stripe.inject_fault(method="GET", path="/v1/promotion_codes", times=9, status=500)
    status, body = await post(service, "quote", order_a | {"couponCode": "ANY"})
    assert status == 503, body
    status, body = await post(service, "quote", order_a)
    assert status == 200, body


async def test_its_sums_are_those_in_the_currency_of_the_order(
    service: Service, worker: InlineWorker, coupon: str, order_a: dict[str, Any]
) -> None:
    await sell_in_currencies(service.pool, worker.gateway)
    v1 = worker.gateway.client.v1
    least = {
        "minimum_amount": 10_000_000,
        "minimum_amount_currency": "usd",
        "currency_options": {"jpy": {"minimum_amount": 1}},
    }
    await make(worker, coupon, "LARGE", restrictions=least)
    off = await v1.coupons.create_async(
        {"amount_off": 100, "currency": "usd", "duration": "once",
         "currency_options": {"kwd": {"amount_off": 70}}}
    )  # fmt: skip
    await make(worker, off.id, "OFF")
    await make(worker, off.id, "NOWHERE", restrictions=least)
    in_dollars = {
        "LARGE": (422, "coupon_below_minimum", None),
        "OFF": (200, None, 100),
        "NOWHERE": (422, "coupon_below_minimum", None),
    }
    in_dinars = {
        "LARGE": (422, "coupon_not_in_currency", None),
        "OFF": (200, None, 70),
        "NOWHERE": (422, "coupon_not_in_currency", None),
    }
    for currency, expected in (("usd", in_dollars), ("kwd", in_dinars)):
        for code, answer in expected.items():
            order = order_a | {"couponCode": code, "currency": currency}
            status, quote = await post(service, "quote", order)
            assert (status, quote.get("code"), quote.get("discount")) == answer, (currency, code)
            if status != 200:
                status, refusal = await post(service, "create-session", order)
                assert (status, refusal["code"]) == answer[:2]
    for currency, code in (("jpy", "LARGE"), ("kwd", "OFF")):
        order = order_a | {"couponCode": code, "currency": currency}
        order["customer"] = order_a["customer"] | {"email": f"{currency}@example.com"}
        _, quote = await post(service, "quote", order)
        bought = await service.buy(order)
        await worker.catch_up()
        paid = await service.pool.fetchval(
            "SELECT amount_paid FROM invoices WHERE subscription_id::text = $1",
            str(bought["subscriptionId"]),
        )
        assert paid == quote["dueToday"]
        assert quote["discount"] > 0
