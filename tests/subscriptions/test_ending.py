"""The end of a subscription: asked for, taken back, or at once."""

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


async def test_what_was_cancelled_can_be_taken_back(backend: Backend, bought: str) -> None:
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


async def test_an_end_that_the_portal_has_set_can_be_taken_back_too(
    backend: Backend, bought: str
) -> None:
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
    wishes: list[tuple[str, dict[str, Any]]] = [
        ("cancel", {}),
        ("cancel", {"atPeriodEnd": False}),
        ("resume", {}),
        ("change-plan", premium),
        ("preview-change", premium),
    ]
    for path, wish in wishes:
        refused = await backend.post(f"subscriptions/{bought}/{path}", wish)
        assert (refused.status, refused.body["code"]) == (409, "subscription_ended"), path


async def test_an_order_that_is_not_paid_cannot_be_changed(
    backend: Backend, order_a: dict[str, Any]
) -> None:
    order = await backend.service.order(order_a)
    refused = await backend.post(f"subscriptions/{order['subscriptionId']}/cancel")
    assert (refused.status, refused.body["code"]) == (409, "not_paid")


async def test_ending_at_once_needs_a_plain_yes(backend: Backend, bought: str) -> None:
    for wrong in ("no", 0, None):
        answer = await backend.post(f"subscriptions/{bought}/cancel", {"atPeriodEnd": wrong})
        assert (answer.status, "atPeriodEnd" in answer.body["fields"]) == (422, True)
    assert not (await backend.subscription(bought))["willEnd"]


async def test_cancelling_and_changing_at_once_do_not_interleave(
    backend: Backend, bought: str
) -> None:
    await backend.service.stripe.inject_fault(
        "hang", method="POST", path="/v1/subscriptions", seconds=1
    )
    wish = {"planId": "premium", "billingCycle": "monthly"}
    answers = await asyncio.gather(
        backend.post(f"subscriptions/{bought}/change-plan", wish),
        backend.post(f"subscriptions/{bought}/cancel"),
    )
    assert sorted(answer.status for answer in answers) == [200, 409]


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
async def test_a_cancellation_at_once_whose_answer_was_lost_is_made_all_the_same(
    backend: Backend, bought: str, times: int
) -> None:
    """Stripe knows no subscription to end once it has ended it: that is no failure."""
    path = f"subscriptions/{bought}/cancel"
    await backend.service.stripe.inject_fault(
        "reset", method="DELETE", path="/v1/subscriptions", after_work=True, times=times
    )
    answer = await backend.post(path, {"atPeriodEnd": False}, "end-it")
    if answer.status == 503:
        answer = await backend.post(path, {"atPeriodEnd": False}, "end-it")
    assert answer.status == 200, answer.body
    assert answer.body["changed"]
    assert answer.body["subscription"]["status"] == "cancelled"
    assert (await backend.audit())[-1] == ("subscription.cancel", "done")


async def test_a_cancellation_is_made_anew_once_it_was_taken_back(
    backend: Backend, bought: str
) -> None:
    """Though nobody heard of the first one: its key would get Stripe's old answer, and no more."""
    await backend.service.stripe.inject_fault(
        "reset", method="POST", path="/v1/subscriptions", after_work=True, times=3
    )
    assert (await backend.post(f"subscriptions/{bought}/cancel")).status == 503
    resumed = await backend.done(f"subscriptions/{bought}/resume")
    assert not resumed["subscription"]["willEnd"]
    again = await backend.done(f"subscriptions/{bought}/cancel")
    assert again["subscription"]["willEnd"]
