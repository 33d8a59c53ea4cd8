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


async def test_a_schedule_whose_change_is_made_is_in_no_offers_way(
    backend: Backend, bought: str, offered: None
) -> None:
    path = f"subscriptions/{bought}"
    await backend.done(
        f"{path}/change-plan", {"planId": "starter", "billingCycle": "monthly", "addonIds": []}
    )
    assert await offer_of(backend, bought) is None
    shown = await backend.subscription(bought)
    assert shown["plannedChange"]["effectiveAt"] == shown["currentPeriodEnd"]
    stripe = backend.service.stripe
    await stripe.advance_time(await stripe.now() + 32 * 86_400)
    await backend.worker.catch_up()
    assert len((await backend.subscription(bought))["items"]) == 1
    stripe_id, _ = await backend.stripe_ids(bought)
    subscriptions = backend.worker.gateway.client.v1.subscriptions
    assert (await subscriptions.retrieve_async(stripe_id)).schedule
    await backend.done(f"{path}/take-offer")
    assert await held(backend, bought) == ["STAY"]
    await stripe.advance_time(await stripe.now() + 32 * 86_400)
    assert await held(backend, bought) == ["STAY"]


async def fail(backend: Backend, id_: str, **fault: Any) -> None:
    """Let Stripe's next answer to a change of the subscription, and to its repeats, be an error."""
    stripe_id, _ = await backend.stripe_ids(id_)
    await backend.service.stripe.inject_fault(
        method="POST", path=f"/v1/subscriptions/{stripe_id}", times=3, **fault
    )


async def held(backend: Backend, id_: str) -> list[str]:
    """Return the coupons that a subscription has."""
    await backend.worker.catch_up()
    return [one["coupon"] for one in (await backend.subscription(id_))["discounts"]]


@pytest.fixture
async def two_offered(backend: Backend, offered: None) -> None:
    pool = backend.service.pool
    await pool.execute(
        "INSERT INTO coupons (code, name, percent_off, duration, retention)"
        " VALUES ('PLEASE', 'Half of the next one', 50, 'once', TRUE)"
    )
    await push_catalogue(pool, StripeCatalogue(backend.worker.gateway.client), livemode=False)


async def test_one_of_two_coupons_is_given_although_stripe_answered_with_an_error(
    backend: Backend, bought: str, two_offered: None
) -> None:
    path = f"subscriptions/{bought}/take-offer"
    await fail(backend, bought, status=500, after_work=True)
    assert (await backend.post(path, {}, "stay")).status == 503
    assert await offer_of(backend, bought) is None
    other = await backend.post(path, {"reason": "asks for another"}, "other")
    assert (other.status, other.body["code"]) == (409, "no_offer")
    for _ in range(2):
        await backend.done(path, {}, "stay")
        assert await held(backend, bought) == ["PLEASE"]


async def test_what_may_have_been_given_is_not_offered_again_when_it_is_used_up(
    backend: Backend, bought: str, two_offered: None
) -> None:
    path = f"subscriptions/{bought}/take-offer"
    await fail(backend, bought, status=500, after_work=True)
    assert (await backend.post(path, {}, "stay")).status == 503
    stripe = backend.service.stripe
    await stripe.advance_time(await stripe.now() + 32 * 86_400)
    assert await held(backend, bought) == []
    assert await offer_of(backend, bought) is None
    assert (await backend.post(path, {}, "again")).status == 409


async def test_what_stripe_did_not_do_is_given_by_the_same_request(
    backend: Backend, bought: str, two_offered: None
) -> None:
    path = f"subscriptions/{bought}/take-offer"
    await fail(backend, bought, status=500)
    assert (await backend.post(path, {}, "stay")).status == 503
    await backend.done(path, {}, "stay")
    assert await held(backend, bought) == ["PLEASE"]


async def test_what_stripe_refused_is_not_done_when_the_offer_is_gone(
    backend: Backend, bought: str, offered: None
) -> None:
    path = f"subscriptions/{bought}/take-offer"
    await fail(backend, bought, status=400)
    refused = await backend.post(path, {}, "stay")
    assert refused.status >= 400, refused.body
    await backend.service.pool.execute("UPDATE coupons SET active = FALSE")
    again = await backend.post(path, {}, "stay")
    assert (again.status, again.body["code"]) == (409, "no_offer")
    assert await backend.service.pool.fetchval("SELECT state FROM billing_changes") == "failed"
    assert await held(backend, bought) == []


async def test_what_nobody_heard_of_for_a_day_is_found_done(
    backend: Backend, bought: str, two_offered: None
) -> None:
    path = f"subscriptions/{bought}/take-offer"
    await fail(backend, bought, kind="reset", after_work=True)
    assert (await backend.post(path, {}, "stay")).status in {502, 503}
    await backend.service.pool.execute(
        "UPDATE billing_changes SET attempted_at = attempted_at - interval '1 day'"
    )
    await backend.done(path, {}, "stay")
    assert await held(backend, bought) == ["PLEASE"]


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
