"""The end of a subscription: requested, undone, or immediate."""

import asyncio
from typing import Any

import pytest

from tests.subscriptions.conftest import Backend


async def test_a_cancellation_waits_for_the_end_of_the_period(
    backend: Backend, bought: str
) -> None:
    body = await backend.done(f"subscriptions/{bought}/cancel", {"reason": "too far away"})
    shown = body["subscription"]
    assert shown["cancelAtPeriodEnd"]
    assert shown["willEnd"]
    assert shown["status"] == "active"
    assert shown["nextCharge"] is None
    stripe_id, _ = await backend.stripe_ids(bought)
    v1 = backend.worker.gateway.client.v1
    subscription = await v1.subscriptions.retrieve_async(stripe_id)
    assert subscription.cancellation_details.comment == "too far away"  # type: ignore[union-attr]
    again = await backend.done(f"subscriptions/{bought}/cancel", {"atPeriodEnd": True})
    assert not again["changed"]


async def test_a_cancellation_can_be_undone(backend: Backend, bought: str) -> None:
    before = await backend.subscription(bought)
    for _ in range(2):
        await backend.done(f"subscriptions/{bought}/cancel", {})
        body = await backend.done(f"subscriptions/{bought}/resume")
        assert body["changed"]
        assert not body["subscription"]["willEnd"]
    await backend.worker.catch_up()
    assert await backend.subscription(bought) == before
    refused = await backend.post(f"subscriptions/{bought}/resume")
    assert (refused.status, refused.body["code"]) == (409, "not_cancelled")


async def test_an_end_set_in_the_portal_can_be_undone_too(backend: Backend, bought: str) -> None:
    stripe_id, _ = await backend.stripe_ids(bought)
    in_a_week = await backend.service.stripe.now() + 7 * 86_400
    v1 = backend.worker.gateway.client.v1
    await v1.subscriptions.update_async(stripe_id, {"cancel_at": in_a_week})
    await backend.worker.catch_up()
    shown = await backend.subscription(bought)
    assert shown["willEnd"]
    assert not shown["cancelAtPeriodEnd"]
    assert shown["nextCharge"] is None
    body = await backend.done(f"subscriptions/{bought}/resume")
    assert body["subscription"]["cancelAt"] is None


async def test_a_cancellation_at_once_ends_it_and_its_services(
    backend: Backend, bought: str
) -> None:
    body = await backend.done(f"subscriptions/{bought}/cancel", {"atPeriodEnd": False}, "end-it")
    assert body["subscription"]["status"] == "cancelled"
    assert body["subscription"]["endedAt"]
    await backend.worker.catch_up()
    desired = await backend.service.pool.fetch("SELECT desired FROM tenant_services")
    assert {row["desired"] for row in desired} == {"suspended"}
    again = await backend.done(f"subscriptions/{bought}/cancel", {"atPeriodEnd": False}, "end-it")
    assert again["changed"]
    assert again["subscription"]["endedAt"] == body["subscription"]["endedAt"]
    assert await backend.audit() == [("subscription.cancel", "done")]


async def test_what_has_ended_cannot_be_changed(backend: Backend, bought: str) -> None:
    await backend.done(f"subscriptions/{bought}/cancel", {"atPeriodEnd": False})
    premium = {"planId": "premium", "billingCycle": "monthly"}
    changes: list[tuple[str, dict[str, Any]]] = [
        ("cancel", {}),
        ("cancel", {"atPeriodEnd": False}),
        ("resume", {}),
        ("change-plan", premium),
        ("preview-change", premium),
    ]
    for path, change in changes:
        refused = await backend.post(f"subscriptions/{bought}/{path}", change)
        assert (refused.status, refused.body["code"]) == (409, "subscription_ended"), path


async def test_an_order_that_is_not_paid_cannot_be_changed(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    order = await backend.service.order(order_a)
    refused = await backend.post(f"subscriptions/{order['subscriptionId']}/cancel")
    assert (refused.status, refused.body["code"]) == (409, "not_paid")


async def test_ending_at_once_needs_a_plain_yes(backend: Backend, bought: str) -> None:
    for wrong in ("no", 0, None):
        response = await backend.post(f"subscriptions/{bought}/cancel", {"atPeriodEnd": wrong})
        assert (response.status, "atPeriodEnd" in response.body["fields"]) == (422, True)
    assert not (await backend.subscription(bought))["willEnd"]


async def test_cancelling_and_changing_at_once_do_not_interleave(
    backend: Backend, bought: str
) -> None:
    await backend.service.stripe.inject_fault(
        "hang", method="POST", path="/v1/subscriptions", seconds=1
    )
    change = {"planId": "premium", "billingCycle": "monthly"}
    responses = await asyncio.gather(
        backend.post(f"subscriptions/{bought}/change-plan", change),
        backend.post(f"subscriptions/{bought}/cancel"),
    )
    assert sorted(response.status for response in responses) == [200, 409]


async def test_a_trial_that_is_cancelled_takes_its_charges_off(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    domain = {"mode": "new-or-transfer", "value": "adalovelace.com"}
    order = await backend.service.buy(order_a | {"trialActive": True, "domain": domain})
    id_ = order["subscriptionId"]
    await backend.worker.catch_up()
    pending = backend.worker.gateway.client.v1.invoice_items
    assert len((await pending.list_async({"pending": True})).data) == 1
    await backend.done(f"subscriptions/{id_}/cancel", {})
    await backend.worker.catch_up()
    assert (await pending.list_async({"pending": True})).data == []
    await backend.done(f"subscriptions/{id_}/resume")
    await backend.worker.catch_up()
    assert len((await pending.list_async({"pending": True})).data) == 1


@pytest.mark.parametrize("times", [1, 3])
async def test_an_immediate_cancellation_whose_response_was_lost_still_happens(
    backend: Backend, bought: str, times: int
) -> None:
    """Stripe no longer finds a subscription that it has ended: that is not a failure."""
    path = f"subscriptions/{bought}/cancel"
    await backend.service.stripe.inject_fault(
        "reset", method="DELETE", path="/v1/subscriptions", after_work=True, times=times
    )
    response = await backend.post(path, {"atPeriodEnd": False}, "end-it")
    if response.status == 503:
        response = await backend.post(path, {"atPeriodEnd": False}, "end-it")
    assert response.status == 200, response.body
    assert response.body["changed"]
    assert response.body["subscription"]["status"] == "cancelled"
    assert (await backend.audit())[-1] == ("subscription.cancel", "done")


async def test_a_repeat_of_an_end_that_stripe_made_and_answered_with_an_error_is_done(
    backend: Backend, bought: str
) -> None:
    path = f"subscriptions/{bought}/cancel"
    await backend.service.stripe.inject_fault(
        "status", method="DELETE", path="/v1/subscriptions", status=500, after_work=True, times=3
    )
    assert (await backend.post(path, {"atPeriodEnd": False}, "end-it")).status == 503
    body = await backend.done(path, {"atPeriodEnd": False}, "end-it")
    assert body["subscription"]["status"] == "cancelled"
    other = await backend.post(path, {"atPeriodEnd": False}, "another")
    assert (other.status, other.body["code"]) == (409, "subscription_ended")


async def test_a_change_of_what_has_ended_meanwhile_says_so(backend: Backend, bought: str) -> None:
    """It ends after it was looked at, so only Stripe knows: that is no matter for an operator."""
    path = f"subscriptions/{bought}/change-plan"
    change = {"planId": "premium", "billingCycle": "monthly"}
    await backend.service.stripe.inject_fault(
        "reset", method="POST", path="/v1/subscriptions", times=3
    )
    assert (await backend.post(path, change, "bigger")).status == 503
    await backend.service.stripe.set_delivery(hold=True)
    stripe_id, _ = await backend.stripe_ids(bought)
    await backend.worker.gateway.client.v1.subscriptions.cancel_async(stripe_id)
    response = await backend.post(path, change, "bigger")
    assert (response.status, response.body["code"]) == (409, "subscription_ended")
    assert (await backend.subscription(bought))["status"] == "cancelled"
    assert (await backend.audit())[-1] == ("subscription.change_plan", "failed")


async def test_a_cancellation_can_be_repeated_after_it_was_undone(
    backend: Backend, bought: str
) -> None:
    """The first response was lost: its key would only get that old response again."""
    await backend.service.stripe.inject_fault(
        "reset", method="POST", path="/v1/subscriptions", after_work=True, times=3
    )
    assert (await backend.post(f"subscriptions/{bought}/cancel")).status == 503
    resumed = await backend.done(f"subscriptions/{bought}/resume")
    assert not resumed["subscription"]["willEnd"]
    again = await backend.done(f"subscriptions/{bought}/cancel")
    assert again["subscription"]["willEnd"]
