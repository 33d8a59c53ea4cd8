"""A subscription schedule that was not made here: what it changes is followed, and what it
refuses is refused with its name."""

from typing import Any

import pytest

from stripe_sandbox import Choices
from tests.subscriptions.conftest import Answer, Backend

PREMIUM = {"planId": "premium", "billingCycle": "monthly"}


async def schedule(backend: Backend, bought: str) -> str:
    """Put the subscription under a schedule at Stripe, as with the Dashboard."""
    stripe_id, _ = await backend.stripe_ids(bought)
    v1 = backend.worker.gateway.client.v1
    made = await v1.subscription_schedules.create_async({"from_subscription": stripe_id})
    await backend.worker.catch_up()
    return str(made.id)


async def release(backend: Backend, schedule_id: str) -> None:
    await backend.worker.gateway.client.v1.subscription_schedules.release_async(schedule_id)
    await backend.worker.catch_up()


async def troubles(backend: Backend) -> list[tuple[str, str]]:
    rows = await backend.service.pool.fetch("SELECT trouble, object_id FROM billing_trouble")
    return [tuple(row) for row in rows]


def assert_names(refused: Answer, schedule_id: str) -> None:
    assert (refused.status, refused.body["code"]) == (409, "subscription_scheduled")
    assert schedule_id in refused.body["error"]
    assert "release the schedule in Stripe's Dashboard" in refused.body["error"]


async def test_a_refused_cancellation_names_the_schedule(backend: Backend, bought: str) -> None:
    schedule_id = await schedule(backend, bought)
    assert await troubles(backend) == [("foreign_schedule", schedule_id)]
    refused = await backend.post(f"subscriptions/{bought}/cancel", {}, "end-it")
    assert_names(refused, schedule_id)
    assert not (await backend.subscription(bought))["willEnd"]
    assert await backend.audit() == [("subscription.cancel", "failed")]


async def test_after_the_release_the_same_request_succeeds(backend: Backend, bought: str) -> None:
    schedule_id = await schedule(backend, bought)
    assert_names(await backend.post(f"subscriptions/{bought}/cancel", {}, "end-it"), schedule_id)
    await release(backend, schedule_id)
    assert await troubles(backend) == []
    body = await backend.done(f"subscriptions/{bought}/cancel", {}, "end-it")
    assert body["subscription"]["willEnd"]


async def test_an_end_that_the_schedule_sets_cannot_be_undone_here(
    backend: Backend, bought: str
) -> None:
    schedule_id = await schedule(backend, bought)
    schedules = backend.worker.gateway.client.v1.subscription_schedules
    await schedules.update_async(schedule_id, {"end_behavior": "cancel"})
    await backend.worker.catch_up()
    assert (await backend.subscription(bought))["willEnd"]
    assert_names(await backend.post(f"subscriptions/{bought}/resume"), schedule_id)


async def test_an_immediate_cancellation_ends_the_schedule_too(
    backend: Backend, bought: str
) -> None:
    await schedule(backend, bought)
    body = await backend.done(f"subscriptions/{bought}/cancel", {"atPeriodEnd": False})
    assert body["subscription"]["status"] == "cancelled"
    await backend.worker.catch_up()
    assert await troubles(backend) == []


async def test_a_plan_changes_under_a_schedule_where_stripe_allows_it(
    backend: Backend, bought: str
) -> None:
    await schedule(backend, bought)
    body = await backend.done(f"subscriptions/{bought}/change-plan", PREMIUM)
    assert body["changed"]


async def test_the_next_phase_is_provisioned(backend: Backend, bought: str) -> None:
    schedule_id = await schedule(backend, bought)
    v1 = backend.worker.gateway.client.v1
    current = (await v1.subscription_schedules.retrieve_async(schedule_id)).phases[0]
    kept: list[Any] = [
        {"price": item.price, "quantity": item.quantity} for item in current["items"]
    ]
    bigger = await backend.service.pool.fetchval(
        "SELECT stripe_price_id FROM prices WHERE lookup_key = 'premium_monthly_usd'"
    )
    await v1.subscription_schedules.update_async(
        schedule_id,
        {"phases": [{"items": kept, "end_date": current.end_date}, {"items": [{"price": bigger}]}]},
    )
    await backend.service.stripe.advance_time(current.end_date + 60)
    await backend.worker.catch_up()
    shown = await backend.subscription(bought)
    assert [item["productId"] for item in shown["items"]] == ["premium"]
    resources = await backend.service.pool.fetchval(
        "SELECT resources FROM tenant_services WHERE product_type = 'hosting'"
    )
    assert resources == await backend.service.pool.fetchval(
        "SELECT resources FROM products WHERE code = 'premium'"
    )


class TestItemsAreRefusedToo:
    """If Stripe refuses other items for a subscription with a schedule."""

    @pytest.fixture
    def choices(self) -> Choices:
        return Choices(scheduled_items="refuse")

    async def test_a_refused_change_of_plan_names_the_schedule(
        self, backend: Backend, bought: str
    ) -> None:
        schedule_id = await schedule(backend, bought)
        assert_names(
            await backend.post(f"subscriptions/{bought}/change-plan", PREMIUM), schedule_id
        )
        await release(backend, schedule_id)
        assert (await backend.done(f"subscriptions/{bought}/change-plan", PREMIUM))["changed"]
