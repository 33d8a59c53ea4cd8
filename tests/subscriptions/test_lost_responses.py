"""Stripe has done it, and nobody has heard of it: the same request finds it done, once."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.subscriptions.conftest import Backend, buy

FAULTS = [{"kind": "reset"}, {"kind": "status", "status": 500}]
STARTER = {"planId": "starter", "billingCycle": "monthly"}


@pytest.fixture
def order_a(order_a: dict[str, Any]) -> dict[str, Any]:
    return order_a | {"planId": "premium"}


@pytest.fixture
async def bought(backend: Backend, order_a: dict[str, Any]) -> str:
    return await buy(backend, order_a)


@pytest.fixture
async def on_trial(backend: Backend, order_a: dict[str, Any]) -> str:
    order = await backend.service.buy(order_a | STARTER | {"trialActive": True})
    await backend.worker.catch_up()
    return str(order["subscriptionId"])


async def lose(backend: Backend, path: str, fault: dict[str, Any]) -> None:
    """Lose the response to what is posted there, and to its repeats by the SDK."""
    await backend.service.stripe.inject_fault(
        method="POST", path=path, after_work=True, times=3, **fault
    )


async def repeated(backend: Backend, path: str, body: object = None) -> dict[str, Any]:
    """Post what gets lost, let the webhooks come, and post it again with the same key."""
    lost = await backend.post(path, body, "once")
    assert lost.status in {502, 503}, lost.body
    await backend.worker.catch_up()
    first = await backend.done(path, body, "once")
    again = await backend.done(path, body, "once")
    assert first["subscription"] == again["subscription"]
    assert await backend.service.pool.fetch("SELECT * FROM billing_trouble") == []
    return dict(first["subscription"])


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_cancellation_that_is_taken_back(
    backend: Backend, bought: str, fault: dict[str, Any]
) -> None:
    stripe_id, _ = await backend.stripe_ids(bought)
    await backend.done(f"subscriptions/{bought}/cancel")
    await lose(backend, f"/v1/subscriptions/{stripe_id}", fault)
    assert not (await repeated(backend, f"subscriptions/{bought}/resume"))["willEnd"]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_pause_that_ends_is_charged_once(
    backend: Backend, bought: str, fault: dict[str, Any]
) -> None:
    stripe_id, _ = await backend.stripe_ids(bought)
    await backend.done(f"subscriptions/{bought}/pause")
    await lose(backend, f"/v1/subscriptions/{stripe_id}/resume", fault)
    shown = await repeated(backend, f"subscriptions/{bought}/resume")
    assert shown["stripeStatus"] == "active"
    assert len(await backend.invoices(bought)) == 2


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_planned_change_that_is_undone(
    backend: Backend, bought: str, fault: dict[str, Any]
) -> None:
    await backend.done(f"subscriptions/{bought}/change-plan", STARTER)
    await lose(backend, "/v1/subscription_schedules/", fault)
    shown = await repeated(backend, f"subscriptions/{bought}/undo-change")
    assert shown["plannedChange"] is None


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("ends_now", [True, False])
async def test_a_trial_that_ends_otherwise(
    backend: Backend, on_trial: str, fault: dict[str, Any], ends_now: bool
) -> None:
    stripe_id, _ = await backend.stripe_ids(on_trial)
    end = datetime.fromisoformat((await backend.subscription(on_trial))["trialEnd"])
    later = (end + timedelta(days=10)).isoformat()
    body = {"reason": "it was agreed"} | ({} if ends_now else {"endsAt": later})
    await lose(backend, f"/v1/subscriptions/{stripe_id}", fault)
    shown = await repeated(backend, f"subscriptions/{on_trial}/trial", body)
    assert shown["stripeStatus"] == ("active" if ends_now else "trialing")
    assert len(await backend.invoices(on_trial)) == (2 if ends_now else 1)
