"""Who wants to cancel is offered a coupon of the catalogue, once."""

from typing import Any

import pytest

from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from tests.commands import run_command
from tests.subscriptions.conftest import Backend


@pytest.fixture
async def offered(backend: Backend) -> None:
    pool = backend.service.pool
    await pool.execute(
        "INSERT INTO coupons (code, name, percent_off, duration, duration_in_months, retention)"
        " VALUES ('STAY', 'A third off for a year', 33.33, 'repeating', 12, TRUE)"
    )
    await push_catalogue(pool, StripeCatalogue(backend.worker.gateway.client), livemode=False)


async def offer_of(backend: Backend, id_: str) -> Any:
    response = await backend.get(f"subscriptions/{id_}/retention-offer")
    assert response.status == 200, response.body
    return response.body["offer"]


async def test_it_is_shown_taken_instead_of_a_cancellation_and_charged_as_shown(
    backend: Backend, bought: str, offered: None
) -> None:
    path = f"subscriptions/{bought}"
    offer = await offer_of(backend, bought)
    assert (offer["coupon"], offer["duration"], offer["durationInMonths"]) == (
        "STAY",
        "repeating",
        12,
    )
    await backend.done(f"{path}/cancel", {"feedback": "too_expensive"})
    assert await offer_of(backend, bought) == offer
    body = await backend.done(f"{path}/take-offer", {"reason": "stays for less"}, "stay")
    assert not body["subscription"]["willEnd"]
    await backend.worker.catch_up()
    shown = await backend.subscription(bought)
    assert [one["coupon"] for one in shown["discounts"]] == ["STAY"]
    assert shown["nextCharge"]["amount"] == offer["nextCharge"]
    again = await backend.done(f"{path}/take-offer", {"reason": "stays for less"}, "stay")
    assert not again["subscription"]["willEnd"]
    assert await offer_of(backend, bought) is None
    refused = await backend.post(f"{path}/take-offer")
    assert (refused.status, refused.body["code"]) == (409, "no_offer")
    assert await backend.audit() == [
        ("subscription.cancel", "done"),
        ("subscription.take_offer", "done"),
    ]
    stripe = backend.service.stripe
    await stripe.advance_time(await stripe.now() + 32 * 86_400)
    await backend.worker.catch_up()
    assert (await backend.invoices(bought))[0]["amountPaid"] == offer["nextCharge"]


async def test_the_discounts_that_there_are_stay(
    backend: Backend, order_a: dict[str, Any], offered: None
) -> None:
    order = await backend.service.buy(order_a)
    await backend.worker.catch_up()
    id_ = str(order["subscriptionId"])
    stripe_id, _ = await backend.stripe_ids(id_)
    v1 = backend.worker.gateway.client.v1
    half = await v1.coupons.create_async({"percent_off": 50, "duration": "forever"})
    await v1.subscriptions.update_async(stripe_id, {"discounts": [{"coupon": half.id}]})
    await backend.worker.catch_up()
    offer = await offer_of(backend, id_)
    await backend.done(f"subscriptions/{id_}/take-offer")
    await backend.worker.catch_up()
    shown = await backend.subscription(id_)
    assert [one["coupon"] for one in shown["discounts"]] == [half.id, "STAY"]
    assert shown["nextCharge"]["amount"] == offer["nextCharge"]


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 500}])
async def test_a_lost_response_gives_it_once(
    backend: Backend, bought: str, offered: None, fault: dict[str, Any]
) -> None:
    stripe_id, _ = await backend.stripe_ids(bought)
    await backend.service.stripe.inject_fault(
        method="POST", path=f"/v1/subscriptions/{stripe_id}", after_work=True, times=3, **fault
    )
    path = f"subscriptions/{bought}/take-offer"
    assert (await backend.post(path, {}, "stay")).status in {502, 503}
    await backend.worker.catch_up()
    await backend.done(path, {}, "stay")
    assert len((await backend.subscription(bought))["discounts"]) == 1
    assert await offer_of(backend, bought) is None


async def test_nothing_is_offered_without_a_coupon_for_it(backend: Backend, bought: str) -> None:
    assert await offer_of(backend, bought) is None


async def test_it_is_no_coupon_for_orders(
    backend: Backend, offered: None, order_a: dict[str, Any]
) -> None:
    wanted = order_a | {"couponCode": "STAY"}
    async with backend.service.client.post("/api/checkout/create-session", json=wanted) as response:
        assert (response.status, (await response.json())["code"]) == (422, "unknown_coupon")


async def test_support_shows_and_gives_it_by_command(
    backend: Backend, bought: str, offered: None
) -> None:
    settings = backend.service.settings
    url, stripe_url = settings.database_url.get_secret_value(), str(settings.stripe_api_base)
    shown = await run_command(url, "offer", bought, stripe_url=stripe_url)
    assert shown.out.startswith("STAY: A third off for a year; next charge $"), shown.err
    taken = await run_command(url, "offer", bought, "--take", stripe_url=stripe_url)
    assert "is active" in taken.out, taken.err
    gone = await run_command(url, "offer", bought, stripe_url=stripe_url)
    assert gone.out == "nothing is offered\n"
