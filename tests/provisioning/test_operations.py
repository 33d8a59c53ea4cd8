"""What operators do about provisioning."""

import asyncio
from uuid import uuid4

import pytest

from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.provisioning import operations
from mpanel_billing.provisioning.drift import find_drift, repair
from tests.provisioning.conftest import ProvisioningSystem
from tests.provisioning.world import Fault


async def test_a_hold_suspends_and_no_payment_lifts_it(system: ProvisioningSystem) -> None:
    id_ = await system.sell("premium_monthly_usd")
    await operations.suspend(system.pool, id_, reason="phishing", operator="grace")
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "suspended", "email": "suspended"}
    assert system.world.calls[-1].details == {"reason": "held"}

    await system.deliver_subscription("past_due", "premium_monthly_usd")
    await system.deliver_subscription("active", "premium_monthly_usd")
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "suspended", "email": "suspended"}
    assert (await system.inbox.subscription())["status"] == "suspended"

    assert await operations.lift(system.pool, id_, operator="grace") == "phishing"
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "active", "email": "active"}
    with pytest.raises(ConflictError):
        await operations.lift(system.pool, id_, operator="grace")


async def test_a_second_hold_is_refused(system: ProvisioningSystem) -> None:
    id_ = await system.sell()
    await operations.suspend(system.pool, id_, reason="one", operator="grace")
    with pytest.raises(ConflictError):
        await operations.suspend(system.pool, id_, reason="two", operator="ada")
    assert [row["reason"] for row in await operations.list_holds(system.pool)] == ["one"]


@pytest.mark.parametrize("fault", ["fail_before", "refuse", None])
async def test_a_service_that_is_skipped_during_a_command_is_left_alone(
    system: ProvisioningSystem, fault: Fault | None
) -> None:
    if fault:
        system.world.misbehave("hosting", fault)
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    system.world.gate.clear()
    run = asyncio.create_task(system.run())
    await system.world.entered.wait()
    await operations.skip(system.pool, await system.id_of(), "hosting")
    system.world.gate.set()
    await run
    assert (await system.run()).done
    service = await system.service()
    assert (service["stopped"], service["last_error"], service["next_attempt_at"]) == (
        "skipped",
        None,
        None,
    )
    assert (await system.work())["wake_at"] is None
    assert await system.troubles() == []
    assert len(system.world.calls) == 1


async def test_a_service_that_is_skipped_before_its_refusal_is_looked_into_stays_skipped(
    system: ProvisioningSystem,
) -> None:
    system.world.misbehave("hosting", "fail_after", "refuse")
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    await system.run()
    await system.make_due()
    system.world.gate.clear()
    system.world.entered.clear()
    run = asyncio.create_task(system.run())
    await system.world.entered.wait()
    await operations.skip(system.pool, await system.id_of(), "hosting")
    system.world.gate.set()
    await run
    service = await system.service()
    assert (service["stopped"], service["actual"]) == ("skipped", "active")


async def test_one_that_was_deleted_meanwhile_does_not_keep_the_others_from_a_retry(
    system: ProvisioningSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    system.world.misbehave("hosting", "refuse")
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    await system.run()
    listed = await operations.list_all_stuck(system.pool)

    async def list_one_more(_: object) -> list[object]:
        return [{"subscription_id": uuid4(), "unfinished": True}, *listed]

    monkeypatch.setattr(operations, "list_all_stuck", list_one_more)
    assert await operations.retry_all(system.pool) == 1
    assert (await system.run()).done


async def test_a_refused_service_continues_once_an_operator_retries(
    system: ProvisioningSystem,
) -> None:
    system.world.misbehave("hosting", "refuse")
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    await system.run()
    (stuck,) = await operations.list_stuck(system.pool)
    assert stuck["error"] == "hosting: HTTP 422: no"

    assert await operations.retry_all(system.pool) == 1
    assert (await system.run()).done
    assert system.world.of(await system.id_of()) == {"hosting": "active"}
    keys = [order.idempotency_key.rpartition(":")[2] for order in system.world.calls]
    assert keys == ["1", "2"]
    assert await operations.list_stuck(system.pool) == []


async def test_stuck_subscriptions_come_in_pages(system: ProvisioningSystem) -> None:
    await system.pool.execute(MANY_STUCK)
    pages = [await operations.list_stuck(system.pool, None, 100)]
    while pages[-1]:
        pages.append(
            await operations.list_stuck(system.pool, pages[-1][-1]["subscription_id"], 100)
        )
    assert [len(page) for page in pages] == [100, 100, 50, 0]
    ids = [row["subscription_id"] for page in pages for row in page]
    assert ids == sorted(set(ids))
    assert [row["subscription_id"] for row in await operations.list_all_stuck(system.pool)] == ids


MANY_STUCK = """
WITH bought AS (
    INSERT INTO subscriptions (status, billing_provider, livemode, currency, amount, price,
        auto_renew)
    SELECT 'pending', 'stripe', FALSE, 'usd', 799, 7.99, FALSE
    FROM generate_series(1, 250)
    RETURNING id
)
INSERT INTO provisioning_work (subscription_id, inputs, version, done_version, last_error,
    updated_at)
SELECT id, '{}', 2, 1 + n % 2, CASE WHEN n % 3 > 0 OR n % 2 > 0 THEN 'no' END,
    now() - interval '1 hour'
FROM (SELECT id, row_number() OVER () AS n FROM bought) AS numbered
"""
"""Some not done, some with an error, most with both."""


async def test_a_skipped_service_is_left_out(system: ProvisioningSystem) -> None:
    system.world.misbehave("hosting", "refuse")
    await system.deliver_subscription("active", "premium_monthly_usd")
    await system.deliver_invoice("paid")
    await system.run()
    id_ = await system.id_of()
    await operations.skip(system.pool, id_, "hosting")
    assert (await system.run()).done
    assert system.world.of(id_) == {"email": "active"}
    assert (await system.inbox.subscription())["status"] == "active"
    with pytest.raises(NotFoundError):
        await operations.skip(system.pool, id_, "dns")


async def test_a_subscription_is_found_by_either_id(system: ProvisioningSystem) -> None:
    id_ = await system.sell()
    assert await operations.find_subscription(system.pool, "sub_1") == id_
    assert await operations.find_subscription(system.pool, str(id_)) == id_
    with pytest.raises(NotFoundError):
        await operations.find_subscription(system.pool, str(uuid4()))


async def test_the_timeline_shows_the_whole_history(system: ProvisioningSystem) -> None:
    id_ = await system.sell()
    await operations.suspend(system.pool, id_, reason="phishing", operator="grace")
    await system.run()
    entries = await operations.list_timeline(system.pool, id_)
    assert {entry.kind for entry in entries} == {
        "order",
        "event",
        "tenant",
        "driver",
        "hold",
        "state",
    }
    calls = await operations.list_calls(system.pool, id_, 10)
    assert [call["action"] for call in calls] == ["create", "suspend"]


async def test_drift_is_found_and_repaired(system: ProvisioningSystem) -> None:
    id_ = await system.sell("premium_monthly_usd")
    hosting, email = system.world.accounts
    hosting.actual = "suspended"
    system.world.accounts.remove(email)

    drifts = [drift async for drift in find_drift(system.pool, system.provisioning.drivers)]
    assert sorted(drift.describe() for drift in drifts) == [
        f"{id_} email: should be active, is absent",
        f"{id_} hosting: should be active, is suspended",
    ]
    for drift in drifts:
        assert await repair(system.pool, drift)
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "active", "email": "active"}
    assert [drift async for drift in find_drift(system.pool, system.provisioning.drivers)] == []
