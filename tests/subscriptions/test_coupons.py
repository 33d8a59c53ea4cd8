"""Coupons and promotion codes of running subscriptions: checked, applied, taken off, counted."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest

from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from tests.commands import run_command
from tests.subscriptions.conftest import Backend

HALF = "('HALF', 'Half of it', 50, NULL, NULL, 'forever')"
FIVE = "('FIVE', 'Five off', NULL, 500, 'usd', 'once')"


async def sell(backend: Backend, coupon: str, **limits: Any) -> None:
    """Put a coupon into the catalogue, and push it to Stripe."""
    pool = backend.service.pool
    code = await pool.fetchval(
        "INSERT INTO coupons (code, name, percent_off, amount_off, currency, duration)"
        f" VALUES {coupon} RETURNING code"
    )
    for column, value in limits.items():
        await pool.execute(f"UPDATE coupons SET {column} = $2 WHERE code = $1", code, value)
    await push_catalogue(pool, StripeCatalogue(backend.worker.gateway.client), livemode=False)


async def check(backend: Backend, id_: str, code: str) -> dict[str, Any]:
    return await backend.done(f"subscriptions/{id_}/preview-apply-coupon", {"couponCode": code})


async def apply(backend: Backend, id_: str, code: str, key: str | None = None) -> dict[str, Any]:
    return await backend.done(f"subscriptions/{id_}/apply-coupon", {"couponCode": code}, key)


async def refused(backend: Backend, id_: str, code: str, key: str | None = None) -> str:
    """Return the code of the refusal."""
    answer = await backend.post(f"subscriptions/{id_}/apply-coupon", {"couponCode": code}, key)
    assert answer.status == 409, answer.body
    return str(answer.body["code"])


async def held(backend: Backend, id_: str) -> list[str]:
    """Return the coupons that a subscription has."""
    await backend.worker.catch_up()
    return [one["coupon"] for one in (await backend.subscription(id_))["discounts"]]


async def renew(backend: Backend, id_: str) -> int:
    """Let the next term be charged, and return what was paid."""
    stripe = backend.service.stripe
    await stripe.advance_time(await stripe.now() + 32 * 86_400)
    await backend.worker.catch_up()
    paid: int = (await backend.invoices(id_))[0]["amountPaid"]
    return paid


async def test_it_is_checked_applied_charged_as_shown_and_taken_off(
    backend: Backend, bought: str
) -> None:
    await sell(backend, HALF)
    shown = await check(backend, bought, " half ")
    assert (shown["valid"], shown["coupon"]["code"], shown["coupon"]["percentOff"]) == (
        True,
        "HALF",
        50.0,
    )
    preview = shown["preview"]
    assert preview["nextTotalThen"] * 2 == preview["nextTotal"] > 0
    assert await held(backend, bought) == []
    for _ in range(2):
        await apply(backend, bought, "half", "one")
        assert await held(backend, bought) == ["HALF"]
    assert await refused(backend, bought, "HALF") == "coupon_applied"
    assert (await check(backend, bought, "HALF"))["valid"] is False
    assert await renew(backend, bought) == preview["nextTotalThen"]
    path = f"subscriptions/{bought}"
    removal = await backend.done(f"{path}/preview-remove-coupon", {"coupon": "HALF"})
    assert removal["preview"] == {
        "currency": "usd",
        "nextTotal": preview["nextTotalThen"],
        "nextTotalThen": preview["nextTotal"],
    }
    for _ in range(2):
        await backend.done(f"{path}/remove-coupon", {"coupon": "HALF"}, "off")
        assert await held(backend, bought) == []
    gone = await backend.post(f"{path}/remove-coupon", {"coupon": "HALF"}, "again")
    assert (gone.status, gone.body["code"]) == (409, "coupon_not_applied")
    assert await renew(backend, bought) == preview["nextTotal"]
    assert await backend.audit() == [
        ("subscription.apply_coupon", "done"),
        ("subscription.remove_coupon", "done"),
    ]


async def test_what_is_not_valid_reads_the_same_whatever_the_reason(
    backend: Backend, bought: str
) -> None:
    await sell(backend, "('STAY', 'Stay', 10, NULL, NULL, 'once')", retention=True)
    await sell(backend, "('FIRST', 'First', 10, NULL, NULL, 'once')", first_order_only=True)
    await sell(backend, "('OTHER', 'Other', 10, NULL, NULL, 'once')", products=["business"])
    await sell(backend, "('EURO', 'Euro', NULL, 100, 'eur', 'once')")
    await sell(backend, "('LARGE', 'Large', NULL, 100, 'usd', 'once')", minimum_amount=1_000_000)
    bodies = [
        await check(backend, bought, code)
        for code in ("NOSUCH", "STAY", "FIRST", "OTHER", "EURO", "LARGE")
    ]
    assert all(body == bodies[0] for body in bodies)
    assert bodies[0] == {"success": True, "valid": False, "coupon": None, "preview": None}
    assert await refused(backend, bought, "LARGE") == "coupon_not_valid"
    assert await held(backend, bought) == []


async def test_a_coupon_for_some_products_is_taken_off_these(backend: Backend, bought: str) -> None:
    await sell(backend, HALF, products=["addon-backups-daily"])
    shown = await check(backend, bought, "HALF")
    assert shown["coupon"]["products"] == ["addon-backups-daily"]
    items = (await backend.subscription(bought))["items"]
    (addon,) = [item["unitAmount"] for item in items if item["productId"] == "addon-backups-daily"]
    preview = shown["preview"]
    assert preview["nextTotal"] - preview["nextTotalThen"] == (addon + 1) // 2


async def test_those_that_there_are_stay_and_one_of_them_goes(
    backend: Backend, bought: str
) -> None:
    await sell(backend, HALF)
    await sell(backend, FIVE)
    await apply(backend, bought, "HALF")
    await apply(backend, bought, "FIVE")
    assert await held(backend, bought) == ["HALF", "FIVE"]
    await backend.done(f"subscriptions/{bought}/remove-coupon", {"coupon": "HALF"})
    assert await held(backend, bought) == ["FIVE"]


async def test_of_two_at_one_instant_neither_is_lost(backend: Backend, bought: str) -> None:
    await sell(backend, HALF)
    await sell(backend, FIVE)
    path = f"subscriptions/{bought}/apply-coupon"
    both = [backend.post(path, {"couponCode": code}, code) for code in ("HALF", "FIVE")]
    assert {answer.status for answer in await asyncio.gather(*both)} <= {200, 409}
    for code in ("HALF", "FIVE"):
        await apply(backend, bought, code, code)
    assert sorted(await held(backend, bought)) == ["FIVE", "HALF"]


async def test_an_unpaid_order_has_nothing_to_take_it_off(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    order = await backend.service.order(order_a)
    path = f"subscriptions/{order['subscriptionId']}"
    bodies = {"apply-coupon": {"couponCode": "WELCOME10"}, "remove-coupon": {"coupon": "WELCOME10"}}
    answers = [
        await backend.post(f"{path}/{before}{verb}", body)
        for verb, body in bodies.items()
        for before in ("", "preview-")
    ]
    assert [(one.status, one.body["code"]) for one in answers] == [(409, "not_paid")] * 4


async def test_a_limited_coupon_is_had_once_ordered_or_applied(
    backend: Backend, bought: str, order_a: dict[str, Any]
) -> None:
    await sell(backend, FIVE, max_redemptions=1)
    await apply(backend, bought, "FIVE")
    await renew(backend, bought)
    assert await held(backend, bought) == []
    assert await refused(backend, bought, "FIVE") == "coupon_not_valid"
    body = order_a | {"couponCode": "FIVE"}
    async with backend.service.client.post("/api/checkout/create-session", json=body) as response:
        assert (response.status, (await response.json())["code"]) == (409, "coupon_used_up")


async def test_what_stripe_failed_at_is_applied_by_the_same_request(
    backend: Backend, bought: str
) -> None:
    await sell(backend, FIVE, max_redemptions=1)
    stripe_id, _ = await backend.stripe_ids(bought)
    path = f"/v1/subscriptions/{stripe_id}"
    await backend.service.stripe.inject_fault(method="POST", path=path, times=3, status=500)
    answer = await backend.post(
        f"subscriptions/{bought}/apply-coupon", {"couponCode": "FIVE"}, "one"
    )
    assert answer.status == 503
    await apply(backend, bought, "FIVE", "one")
    assert await held(backend, bought) == ["FIVE"]


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 500}])
async def test_a_lost_response_applies_it_once(
    backend: Backend, bought: str, fault: dict[str, Any]
) -> None:
    await sell(backend, FIVE, max_per_customer=1)
    stripe_id, _ = await backend.stripe_ids(bought)
    await backend.service.stripe.inject_fault(
        method="POST", path=f"/v1/subscriptions/{stripe_id}", after_work=True, times=3, **fault
    )
    path = f"subscriptions/{bought}/apply-coupon"
    assert (await backend.post(path, {"couponCode": "FIVE"}, "one")).status in {502, 503}
    await backend.worker.catch_up()
    await apply(backend, bought, "FIVE", "one")
    assert await held(backend, bought) == ["FIVE"]


async def test_a_planned_change_keeps_its_price(backend: Backend, bought: str) -> None:
    await sell(backend, HALF)
    less = {"planId": "starter", "billingCycle": "monthly", "addonIds": []}
    await backend.done(f"subscriptions/{bought}/change-plan", less)
    assert await refused(backend, bought, "HALF") == "change_planned"


async def test_a_promotion_code_of_stripe_is_valid_for_its_customer_only(
    backend: Backend, bought: str
) -> None:
    v1 = backend.worker.gateway.client.v1
    _, customer = await backend.stripe_ids(bought)
    stranger = (await v1.customers.create_async({})).id
    coupon = (await v1.coupons.create_async({"percent_off": 20, "duration": "once"})).id
    for code, owner in (("MINE", customer), ("THEIRS", stranger)):
        await v1.promotion_codes.create_async(
            {
                "promotion": {"type": "coupon", "coupon": coupon},
                "code": code,
                "customer": owner,
            }
        )
    assert (await check(backend, bought, "theirs"))["valid"] is False
    shown = await check(backend, bought, "mine")
    preview = shown["preview"]
    assert preview["nextTotalThen"] == round(preview["nextTotal"] * 0.8)
    await apply(backend, bought, "mine")
    assert await held(backend, bought) == [coupon]
    customer_id = await backend.customer_of(bought)
    answer = await backend.get(f"customers/{customer_id}/redemptions")
    (had,) = answer.body["redemptions"]
    assert (had["couponCode"], had["way"], had["subscriptionId"]) == ("MINE", "change", bought)


async def test_promotion_codes_of_stripe_may_be_refused(backend: Backend, bought: str) -> None:
    settings = backend.service.settings
    v1 = backend.worker.gateway.client.v1
    coupon = (await v1.coupons.create_async({"percent_off": 20, "duration": "once"})).id
    await v1.promotion_codes.create_async(
        {"promotion": {"type": "coupon", "coupon": coupon}, "code": "SOLD20"}
    )
    url, stripe_url = settings.database_url.get_secret_value(), str(settings.stripe_api_base)
    apply = ("coupons", "apply", bought, "sold20")
    gone = await run_command(url, *apply, stripe_url=stripe_url, STRIPE_PROMOTION_CODES="refuse")
    assert "not valid for this subscription" in gone.err
    done = await run_command(url, *apply, stripe_url=stripe_url)
    assert "is active" in done.out, done.err


async def test_another_customers_redemptions_are_nobodys_business(
    backend: Backend, bought: str
) -> None:
    customer = await backend.customer_of(bought)
    other = await backend.get(f"customers/{customer}/redemptions", customerId=str(uuid4()))
    assert (other.status, other.body["code"]) == (404, "unknown_customer")
    none = await backend.get(f"customers/{customer}/redemptions", customerId=customer)
    assert none.body["redemptions"] == []


async def test_support_lists_shows_applies_and_removes_by_command(
    backend: Backend, bought: str
) -> None:
    await sell(backend, HALF, max_redemptions=3)
    settings = backend.service.settings
    url, stripe_url = settings.database_url.get_secret_value(), str(settings.stripe_api_base)

    async def coupons(*arguments: str) -> str:
        ran = await run_command(url, "coupons", *arguments, stripe_url=stripe_url)
        return ran.out or ran.err

    assert "HALF: 50 % off forever; Half of it" in await coupons("list")
    assert "next invoice: $" in await coupons("apply", bought, "half", "--preview")
    assert "is active" in await coupons("apply", bought, "half", "--reason", "was promised")
    shown = await coupons("show", "half")
    assert "  3 orders" in shown
    assert "was given it: sub_" in shown
    assert "next invoice: $" in await coupons("remove", bought, "HALF", "--preview")
    assert "is active" in await coupons("remove", bought, "HALF")
    assert "No coupon NOSUCH is valid now" in await coupons("show", "nosuch")
