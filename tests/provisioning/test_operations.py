"""The operator's hands."""

from uuid import uuid4

import pytest

from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.provisioning import operations
from mpanel_billing.provisioning.drift import find_drift, repair
from tests.provisioning.conftest import Scene


async def test_a_hold_suspends_and_no_payment_lifts_it(scene: Scene) -> None:
    id_ = await scene.sell("premium_monthly_usd")
    await operations.suspend(scene.pool, id_, reason="phishing", operator="grace")
    assert (await scene.run()).done
    assert scene.world.of(id_) == {"hosting": "suspended", "email": "suspended"}
    assert scene.world.calls[-1].details == {"reason": "held"}

    await scene.tell("past_due", "premium_monthly_usd")
    await scene.tell("active", "premium_monthly_usd")
    assert (await scene.run()).done
    assert scene.world.of(id_) == {"hosting": "suspended", "email": "suspended"}
    assert (await scene.inbox.subscription())["status"] == "suspended"

    assert await operations.lift(scene.pool, id_, operator="grace") == "phishing"
    assert (await scene.run()).done
    assert scene.world.of(id_) == {"hosting": "active", "email": "active"}
    with pytest.raises(ConflictError):
        await operations.lift(scene.pool, id_, operator="grace")


async def test_a_second_hold_is_refused(scene: Scene) -> None:
    id_ = await scene.sell()
    await operations.suspend(scene.pool, id_, reason="one", operator="grace")
    with pytest.raises(ConflictError):
        await operations.suspend(scene.pool, id_, reason="two", operator="ada")
    assert [row["reason"] for row in await operations.list_holds(scene.pool)] == ["one"]


async def test_what_was_refused_goes_on_once_an_operator_retries(scene: Scene) -> None:
    scene.world.misbehave("hosting", "refuse")
    await scene.tell("active")
    await scene.tell_invoice("paid")
    await scene.run()
    (stuck,) = await operations.list_stuck(scene.pool)
    assert stuck["error"] == "hosting: HTTP 422: no"

    assert await operations.retry_all(scene.pool) == 1
    assert (await scene.run()).done
    assert scene.world.of(await scene.id_of()) == {"hosting": "active"}
    keys = [order.idempotency_key.rpartition(":")[2] for order in scene.world.calls]
    assert keys == ["1", "2"]
    assert await operations.list_stuck(scene.pool) == []


async def test_a_skipped_service_is_done_without(scene: Scene) -> None:
    scene.world.misbehave("hosting", "refuse")
    await scene.tell("active", "premium_monthly_usd")
    await scene.tell_invoice("paid")
    await scene.run()
    id_ = await scene.id_of()
    await operations.skip(scene.pool, id_, "hosting")
    assert (await scene.run()).done
    assert scene.world.of(id_) == {"email": "active"}
    assert (await scene.inbox.subscription())["status"] == "active"
    with pytest.raises(NotFoundError):
        await operations.skip(scene.pool, id_, "dns")


async def test_a_subscription_is_found_by_either_id(scene: Scene) -> None:
    id_ = await scene.sell()
    assert await operations.find_subscription(scene.pool, "sub_1") == id_
    assert await operations.find_subscription(scene.pool, str(id_)) == id_
    with pytest.raises(NotFoundError):
        await operations.find_subscription(scene.pool, str(uuid4()))


async def test_the_timeline_tells_the_whole_story(scene: Scene) -> None:
    id_ = await scene.sell()
    await operations.suspend(scene.pool, id_, reason="phishing", operator="grace")
    await scene.run()
    rows = await operations.list_timeline(scene.pool, id_)
    assert {row["kind"] for row in rows} == {"order", "event", "tenant", "driver", "hold", "state"}
    calls = await operations.list_calls(scene.pool, id_, 10)
    assert [call["action"] for call in calls] == ["create", "suspend"]


async def test_drift_is_found_and_repaired(scene: Scene) -> None:
    id_ = await scene.sell("premium_monthly_usd")
    hosting, email = scene.world.accounts
    hosting.actual = "suspended"
    scene.world.accounts.remove(email)

    drifts = [drift async for drift in find_drift(scene.pool, scene.provisioning.drivers)]
    assert sorted(drift.describe() for drift in drifts) == [
        f"{id_} email: should be active, is absent",
        f"{id_} hosting: should be active, is suspended",
    ]
    for drift in drifts:
        assert await repair(scene.pool, drift)
    assert (await scene.run()).done
    assert scene.world.of(id_) == {"hosting": "active", "email": "active"}
    assert [drift async for drift in find_drift(scene.pool, scene.provisioning.drivers)] == []
