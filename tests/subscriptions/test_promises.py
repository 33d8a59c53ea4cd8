"""A preview is a promise: what it says is charged, or nothing is done."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mpanel_billing.access.signed import Signer
from mpanel_billing.catalogue.file import read_catalogue_file
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from tests.service import WEBHOOK_SECRET
from tests.subscriptions.conftest import NO_FUNDS_LATER, Backend

PREMIUM: dict[str, Any] = {"planId": "premium", "billingCycle": "monthly"}
DAY = 86_400
signer = Signer([WEBHOOK_SECRET.encode()], "plan-change-preview")


async def preview(backend: Backend, id_: str, **change: Any) -> dict[str, Any]:
    return await backend.done(f"subscriptions/{id_}/preview-change", PREMIUM | change)


async def refused(
    backend: Backend, id_: str, token: str, code: str = "preview_outdated", **more: Any
) -> dict[str, str]:
    """Try to change the plan with a token that does not hold: nothing must change at Stripe."""
    before = await backend.subscription(id_)
    body = {"previewToken": token, **more}
    response = await backend.post(f"subscriptions/{id_}/change-plan", body)
    expected = (409, code) if code == "preview_outdated" else (422, code)
    assert (response.status, response.body["code"]) == expected, response.body
    await backend.worker.catch_up()
    assert await backend.subscription(id_) == before
    fields: dict[str, str] = response.body.get("fields", {})
    return fields


async def wait_days(backend: Backend, days: float) -> None:
    """Let days pass at Stripe."""
    await backend.service.stripe.advance_time(await backend.service.stripe.now() + int(days * DAY))
    await backend.service.stripe.wait_idle()


@pytest.mark.parametrize("date", ["2029-11-01T00:00:00Z", "2020-01-01T00:00:00Z", "x", None])
async def test_a_date_of_the_callers_own_is_refused_with_what_to_do(
    backend: Backend, bought: str, date: str | None
) -> None:
    """With a date in the future an upgrade was free, and the way back gave credit for it."""
    before = await backend.subscription(bought)
    response = await backend.post(
        f"subscriptions/{bought}/change-plan", PREMIUM | {"prorationDate": date}
    )
    assert (response.status, response.body["code"]) == (422, "invalid_request")
    assert "previewToken" in response.body["fields"]["prorationDate"]
    assert "previewToken" in response.body["error"]
    assert await backend.subscription(bought) == before


async def test_a_token_is_taken_alone(backend: Backend, bought: str) -> None:
    token = (await preview(backend, bought))["previewToken"]
    fields = await refused(backend, bought, token, "invalid_request", planId="business")
    assert fields == {"planId": "is in the previewToken"}
    response = await backend.post(f"subscriptions/{bought}/change-plan", {})
    assert (response.status, response.body["fields"]) == (422, {"planId": "is missing"})


async def test_only_a_token_of_this_service_for_this_subscription_is_taken(
    backend: Backend, bought: str, order_a: dict[str, Any]
) -> None:
    shown = await preview(backend, bought)
    claims = signer.read(shown["previewToken"], now=datetime.now(UTC))
    forged = Signer([b"whsec_of_somebody"], "plan-change-preview")
    cookie = Signer([WEBHOOK_SECRET.encode()], "browser")
    for by in (forged, cookie):
        token = by.sign(claims, now=datetime.now(UTC), lifetime=timedelta(minutes=1))
        assert "previewToken" in await refused(backend, bought, token, "invalid_request")
    customer = {"name": "Grace", "email": "grace@example.com"}
    other = await backend.service.buy(order_a | {"customer": customer})
    await backend.worker.catch_up()
    id_ = str(other["subscriptionId"])
    assert "previewToken" in await refused(backend, id_, shown["previewToken"], "invalid_request")


async def test_a_token_ends_after_fifteen_minutes(backend: Backend, bought: str) -> None:
    shown = await preview(backend, bought)
    until = datetime.fromisoformat(shown["validUntil"])
    assert timedelta(minutes=14) < until - datetime.now(UTC) <= timedelta(minutes=15)
    claims = signer.read(shown["previewToken"], now=until - timedelta(seconds=1))
    old = datetime.now(UTC) - timedelta(minutes=15)
    await refused(backend, bought, signer.sign(claims, now=old, lifetime=timedelta(minutes=15)))


async def test_another_state_of_the_subscription_is_not_what_was_previewed(
    backend: Backend, bought: str
) -> None:
    token = (await preview(backend, bought))["previewToken"]
    await backend.done(f"subscriptions/{bought}/cancel")
    await refused(backend, bought, token)
    await backend.done(f"subscriptions/{bought}/resume")
    token = (await preview(backend, bought))["previewToken"]
    await wait_days(backend, 32)
    await refused(backend, bought, token)


async def test_another_price_is_not_what_was_previewed(backend: Backend, bought: str) -> None:
    token = (await preview(backend, bought))["previewToken"]
    sold = read_catalogue_file(DEFAULT_CATALOGUE)
    plans = tuple(
        one.model_copy(update={"setup_fee": 100}) if one.code == "premium" else one
        for one in sold.plans
    )
    await apply_catalogue(backend.service.pool, sold.model_copy(update={"plans": plans}))
    shop = StripeCatalogue(backend.worker.gateway.client)
    await push_catalogue(backend.service.pool, shop, livemode=False)
    await refused(backend, bought, token)


async def test_another_sum_is_not_what_was_previewed(backend: Backend, bought: str) -> None:
    """A credit of the customer's that another change has used up, for one."""
    token = (await preview(backend, bought))["previewToken"]
    _, customer = await backend.stripe_ids(bought)
    await backend.worker.gateway.client.v1.customers.update_async(customer, {"balance": -50})
    await backend.service.stripe.wait_idle()
    await backend.worker.catch_up()
    await refused(backend, bought, token)


async def test_the_same_token_again_gets_the_change_that_it_made(
    backend: Backend, bought: str
) -> None:
    path, token = f"subscriptions/{bought}/change-plan", (await preview(backend, bought))
    change = {"previewToken": token["previewToken"]}
    first = await backend.done(path, change)
    again = await backend.done(path, change)
    assert first["subscription"] == again["subscription"]
    await backend.worker.catch_up()
    assert len(await backend.invoices(bought)) == 2
    assert await backend.audit() == [("subscription.change_plan", "done")]


async def test_the_same_token_twice_at_once_makes_one_change(backend: Backend, bought: str) -> None:
    change = {"previewToken": (await preview(backend, bought))["previewToken"]}
    path = f"subscriptions/{bought}/change-plan"
    responses = await asyncio.gather(*(backend.post(path, change) for _ in range(3)))
    assert {response.status for response in responses} <= {200, 409}
    await backend.worker.catch_up()
    assert (await backend.subscription(bought))["planId"] == "premium"
    assert len(await backend.invoices(bought)) == 2


@pytest.mark.parametrize("fault", [{"kind": "reset"}, {"kind": "status", "status": 500}])
async def test_a_change_whose_response_was_lost_is_found_with_its_token_even_an_old_one(
    backend: Backend, bought: str, fault: dict[str, Any]
) -> None:
    shown = await preview(backend, bought)
    path = f"subscriptions/{bought}/change-plan"
    await backend.service.stripe.inject_fault(
        method="POST", path="/v1/subscriptions", after_work=True, times=3, **fault
    )
    lost = await backend.post(path, {"previewToken": shown["previewToken"]})
    assert lost.status == 503
    claims = signer.read(shown["previewToken"], now=datetime.now(UTC))
    old = signer.sign(
        claims, now=datetime.now(UTC) - timedelta(hours=1), lifetime=timedelta(minutes=15)
    )
    found = await backend.done(path, {"previewToken": old})
    assert found["subscription"]["planId"] == "premium"
    await backend.worker.catch_up()
    assert len(await backend.invoices(bought)) == 2


async def test_a_declined_change_can_be_tried_again_with_its_token(
    backend: Backend, bought: str
) -> None:
    change = {"previewToken": (await preview(backend, bought))["previewToken"]}
    path = f"subscriptions/{bought}/change-plan"
    await backend.give_card(bought, NO_FUNDS_LATER)
    assert (await backend.post(path, change)).status == 402
    await backend.give_card(bought, "4242424242424242")
    assert (await backend.done(path, change))["subscription"]["planId"] == "premium"


async def test_what_is_left_to_the_end_of_a_cancelled_subscription_is_previewed(
    backend: Backend, bought: str
) -> None:
    """A preview of 0 led to a charge of 1.65 after the end."""
    await backend.done(f"subscriptions/{bought}/cancel")
    shown = await preview(backend, bought, prorationBehavior="create_prorations")
    assert (shown["dueNow"], shown["credited"]) == (0, 0)
    assert shown["nextCharge"]["amount"] > 0
    held = await backend.subscription(bought)
    assert shown["nextCharge"]["at"] == held["currentPeriodEnd"]
    await backend.done(
        f"subscriptions/{bought}/change-plan", {"previewToken": shown["previewToken"]}
    )
    await wait_days(backend, 33)
    await backend.worker.catch_up()
    charged = [one for one in await backend.invoices(bought) if one["amountPaid"]]
    assert charged[0]["amountPaid"] == shown["nextCharge"]["amount"]
    assert len(charged) == 2
