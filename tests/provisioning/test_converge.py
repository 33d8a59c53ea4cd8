"""The work of a subscription, on a real database, with an outside world that can fail."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest

from mpanel_billing.provisioning.converge import Outcome
from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.provisioning.drivers.protocol import Done
from mpanel_billing.provisioning.lease import LeaseBusyError, LeaseLostError
from tests.provisioning.conftest import GRACE, RETENTION, Scene


async def test_a_paid_subscription_gets_a_tenant_and_its_accounts(scene: Scene) -> None:
    id_ = await scene.sell("premium_monthly_usd")

    subscription = await scene.inbox.subscription()
    tenant = await scene.inbox.row("SELECT * FROM tenants")
    assert subscription["status"] == "active"
    assert subscription["tenant_id"] == tenant["id"]
    assert tenant["billing_subscription_id"] == id_
    assert tenant["status"] == "active"
    assert tenant["domain"].endswith(".panel.test")
    assert scene.world.of(id_) == {"hosting": "active", "email": "active"}
    assert [order.product_type for order in scene.world.calls] == ["hosting", "email"]
    work = await scene.work()
    assert (work["done_version"], work["wake_at"], work["lease_token"]) == (
        work["version"],
        None,
        None,
    )
    log = await scene.pool.fetch("SELECT * FROM provisioning_log ORDER BY id")
    assert [(row["product_type"], row["action"], row["outcome"]) for row in log] == [
        ("hosting", "create", "done"),
        ("email", "create", "done"),
    ]
    assert log[0]["idempotency_key"] == f"{id_}:hosting:create:1"
    assert (await scene.inbox.row("SELECT tenant_id FROM invoices"))["tenant_id"] == tenant["id"]


async def test_a_second_run_changes_nothing(scene: Scene) -> None:
    id_ = await scene.sell()
    await scene.pool.execute("UPDATE provisioning_work SET version = version + 1")
    assert (await scene.run()).done
    assert len(scene.world.calls) == 1
    assert await scene.pool.fetchval("SELECT count(*) FROM tenants") == 1
    assert scene.world.of(id_) == {"hosting": "active"}


async def test_an_invoice_that_was_written_while_the_tenant_was_made_gets_it_too(
    scene: Scene,
) -> None:
    """It read the subscription before that had the tenant, and was there after."""
    await scene.sell()
    await scene.pool.execute("UPDATE invoices SET tenant_id = NULL")
    await scene.pool.execute("UPDATE provisioning_work SET version = version + 1")
    assert (await scene.run()).done
    tenant = await scene.pool.fetchval("SELECT id FROM tenants")
    assert await scene.pool.fetchval("SELECT tenant_id FROM invoices") == tenant


async def test_the_end_of_a_run_waits_for_no_invoice_that_somebody_has_in_hand(
    scene: Scene,
) -> None:
    """Who has one may be waiting for the lock of its subscription, which the run holds then."""
    await scene.sell()
    await scene.pool.execute("UPDATE invoices SET tenant_id = NULL")
    await scene.pool.execute("UPDATE provisioning_work SET version = version + 1")
    async with scene.pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM invoices FOR UPDATE")
        assert (await scene.run()).done
    assert await scene.pool.fetchval("SELECT tenant_id FROM invoices") is None


async def test_nothing_is_provisioned_before_the_first_payment(scene: Scene) -> None:
    await scene.tell("active")
    assert (await scene.run()).done
    assert (await scene.inbox.subscription())["status"] == "provisional"
    assert scene.world.calls == []
    assert await scene.pool.fetchval("SELECT count(*) FROM tenants") == 0


async def test_a_subscription_to_nothing_of_ours_is_active_without_a_tenant(scene: Scene) -> None:
    await scene.tell("active", "something_else")
    await scene.tell_invoice("paid")
    assert (await scene.run()).done
    subscription = await scene.inbox.subscription()
    assert (subscription["status"], subscription["tenant_id"]) == ("active", None)


async def test_only_the_failed_leg_is_tried_again(scene: Scene) -> None:
    scene.world.misbehave("email", "fail_before", "fail_before")
    await scene.tell("active", "premium_monthly_usd")
    await scene.tell_invoice("paid")
    outcome = await scene.run()
    assert outcome == Outcome(done=False, error="email: HTTP 503")
    assert (await scene.inbox.subscription())["status"] == "pending"
    work = await scene.work()
    assert work["last_error"] == "email: HTTP 503"
    assert 5 < (work["wake_at"] - work["updated_at"]).total_seconds() < 20

    await scene.make_due()
    assert not (await scene.run()).done
    await scene.make_due()
    assert (await scene.run()).done
    assert [order.product_type for order in scene.world.calls] == ["hosting"] + 3 * ["email"]
    assert len({order.idempotency_key for order in scene.world.calls}) == 2
    assert (await scene.inbox.subscription())["status"] == "active"
    assert (await scene.work())["last_error"] is None


async def test_a_leg_is_left_alone_until_its_next_try_is_due(scene: Scene) -> None:
    scene.world.misbehave("hosting", "fail_before")
    await scene.tell("active")
    await scene.tell_invoice("paid")
    await scene.run()
    await scene.pool.execute("UPDATE provisioning_work SET wake_at = now()")
    assert not (await scene.run()).done
    assert len(scene.world.calls) == 1


async def test_mail_is_not_made_before_its_hosting_account(scene: Scene) -> None:
    scene.world.misbehave("hosting", "fail_before")
    await scene.tell("active", "premium_monthly_usd")
    await scene.tell_invoice("paid")
    outcome = await scene.run()
    assert outcome.error == "hosting: HTTP 503; email: waiting for hosting"
    assert [order.product_type for order in scene.world.calls] == ["hosting"]


async def test_a_refused_order_stops_and_shows(scene: Scene) -> None:
    scene.world.misbehave("hosting", "refuse")
    await scene.tell("active")
    await scene.tell_invoice("paid")
    await scene.run()
    work = await scene.work()
    assert (work["wake_at"], work["last_error"]) == (None, "hosting: HTTP 422: no")
    trouble = await scene.pool.fetch("SELECT trouble, detail FROM billing_trouble")
    assert ("provisioning_failed", "HTTP 422: no") in [tuple(row) for row in trouble]
    await scene.run()
    assert len(scene.world.calls) == 1


async def test_a_refused_command_is_sent_again_when_the_desired_state_changes(scene: Scene) -> None:
    id_ = await scene.sell("starter_monthly_usd")
    scene.world.misbehave("hosting", "refuse")
    await scene.tell("active", "premium_monthly_usd")
    assert not (await scene.run()).done
    await scene.tell("active", "business_monthly_usd")
    assert (await scene.run()).done
    [hosting] = [a for a in scene.world.accounts if a.product_type == "hosting"]
    assert (hosting.subscription_id, hosting.resources["disk_gb"]) == (id_, 200)


async def test_a_work_done_whose_answer_got_lost_is_not_done_twice(scene: Scene) -> None:
    scene.world.misbehave("hosting", "fail_after")
    await scene.tell("active")
    await scene.tell_invoice("paid")
    await scene.run()
    assert (await scene.service())["pending_action"] == "create"
    await scene.make_due()
    assert (await scene.run()).done
    assert scene.world.of(await scene.id_of()) == {"hosting": "active"}


async def test_a_crash_between_the_drivers_answer_and_its_storing_is_made_good(
    scene: Scene,
) -> None:
    await scene.tell("active")
    await scene.tell_invoice("paid")
    scene.world.gate.clear()
    run = asyncio.create_task(scene.run())
    await scene.world.entered.wait()
    scene.world.carry_out(scene.world.calls[0])
    await _vanish(run)

    await scene.kill_run()
    scene.world.gate.set()
    assert (await scene.run()).done
    first, second = scene.world.calls
    assert (first.idempotency_key, first.details) == (second.idempotency_key, second.details)
    assert scene.world.of(await scene.id_of()) == {"hosting": "active"}


async def _vanish(run: asyncio.Task[Outcome]) -> None:
    run.cancel()
    await asyncio.wait({run})


async def test_a_run_that_is_stopped_hands_over_at_once(scene: Scene) -> None:
    await scene.tell("active")
    await scene.tell_invoice("paid")
    scene.world.gate.clear()
    run = asyncio.create_task(scene.run())
    await scene.world.entered.wait()
    await _vanish(run)
    scene.world.gate.set()
    assert (await scene.run()).done


async def test_two_runs_never_work_on_one_subscription(scene: Scene) -> None:
    await scene.tell("active", "premium_monthly_usd")
    await scene.tell_invoice("paid")
    scene.world.gate.clear()
    first = asyncio.create_task(scene.run())
    await scene.world.entered.wait()
    with pytest.raises(LeaseBusyError) as busy:
        await scene.run()
    assert 0 < busy.value.seconds <= 15
    scene.world.gate.set()
    assert (await first).done
    assert scene.world.most_at_once == 1
    assert len(scene.world.calls) == 2


async def test_a_run_that_was_superseded_logs_its_call_and_changes_nothing(scene: Scene) -> None:
    await scene.tell("active")
    await scene.tell_invoice("paid")
    scene.world.gate.clear()
    slow = asyncio.create_task(scene.run())
    await scene.world.entered.wait()
    await scene.kill_run()
    scene.world.entered.clear()
    other = asyncio.create_task(scene.run())
    await scene.world.entered.wait()
    scene.world.gate.set()
    with pytest.raises(LeaseLostError):
        await slow
    assert (await other).done
    assert await scene.pool.fetchval("SELECT count(*) FROM provisioning_log") == 2
    assert scene.world.of(await scene.id_of()) == {"hosting": "active"}
    assert (await scene.service())["generation"] == 1


async def test_a_desired_state_that_changes_during_the_run_is_reached_by_the_same_run(
    scene: Scene,
) -> None:
    await scene.tell("active")
    await scene.tell_invoice("paid")
    scene.world.gate.clear()
    run = asyncio.create_task(scene.run())
    await scene.world.entered.wait()
    await scene.tell("unpaid")
    scene.world.gate.set()
    assert (await run).done
    assert scene.world.of(await scene.id_of()) == {"hosting": "suspended"}
    assert (await scene.inbox.subscription())["status"] == "suspended"


async def test_an_unpaid_subscription_is_suspended_and_comes_back_with_the_payment(
    scene: Scene,
) -> None:
    id_ = await scene.sell()
    await scene.tell("unpaid")
    assert (await scene.run()).done
    tenant_status = "SELECT status FROM tenants"
    assert scene.world.of(id_) == {"hosting": "suspended"}
    assert (await scene.inbox.subscription())["status"] == "suspended"
    assert await scene.pool.fetchval(tenant_status) == "suspended"
    assert scene.world.calls[-1].details == {"reason": "unpaid"}

    await scene.tell("active")
    assert (await scene.run()).done
    assert scene.world.of(id_) == {"hosting": "active"}
    assert (await scene.inbox.subscription())["status"] == "active"
    assert await scene.pool.fetchval(tenant_status) == "active"


async def test_grace_runs_from_the_oldest_unpaid_invoice(scene: Scene) -> None:
    id_ = await scene.sell()
    made_at = int((datetime.now(UTC) - GRACE / 2).timestamp())
    await scene.tell_invoice("open", "in_2", created=made_at)
    await scene.tell("past_due")
    assert (await scene.run()).done
    assert scene.world.of(id_) == {"hosting": "active"}
    wake_at = (await scene.work())["wake_at"]
    assert wake_at == datetime.fromtimestamp(made_at, UTC) + GRACE

    impatient = replace(scene.provisioning, policy=Policy(GRACE / 4, RETENTION))
    scene.provisioning = impatient
    await scene.make_due()
    assert (await scene.run()).done
    assert scene.world.of(id_) == {"hosting": "suspended"}


async def test_an_ended_subscription_is_terminated_after_retention_only(scene: Scene) -> None:
    id_ = await scene.sell()
    ended_at = int((datetime.now(UTC) - RETENTION / 2).timestamp())
    await scene.tell("canceled", ended_at=ended_at, canceled_at=ended_at)
    assert (await scene.run()).done
    assert scene.world.of(id_) == {"hosting": "suspended"}
    assert (await scene.work())["wake_at"] == datetime.fromtimestamp(ended_at, UTC) + RETENTION

    scene.provisioning = replace(scene.provisioning, policy=Policy(GRACE, RETENTION / 4))
    await scene.make_due()
    assert (await scene.run()).done
    assert scene.world.of(id_) == {}
    assert (await scene.inbox.subscription())["status"] == "cancelled"
    assert await scene.pool.fetchval("SELECT status FROM tenants") == "cancelled"
    assert (await scene.work())["wake_at"] is None


async def test_an_upgrade_changes_the_account_and_adds_what_is_new(scene: Scene) -> None:
    id_ = await scene.sell("starter_monthly_usd")
    await scene.tell("active", "premium_monthly_usd")
    assert (await scene.run()).done
    assert scene.world.of(id_) == {"hosting": "active", "email": "active"}
    hosting = next(a for a in scene.world.accounts if a.product_type == "hosting")
    assert hosting.resources["disk_gb"] == 100
    assert [order.action for order in scene.world.calls] == ["create", "change", "create"]


async def test_a_removed_product_is_suspended_and_its_return_resumes_it(scene: Scene) -> None:
    id_ = await scene.sell("premium_monthly_usd")
    await scene.tell("active", "starter_monthly_usd")
    assert (await scene.run()).done
    assert scene.world.of(id_) == {"hosting": "active", "email": "suspended"}
    reasons = [order.details for order in scene.world.calls if order.action == "suspend"]
    assert reasons == [{"reason": "removed"}]
    assert (await scene.service("email"))["removed_at"] is not None
    assert (await scene.inbox.subscription())["status"] == "active"

    await scene.tell("active", "premium_monthly_usd")
    assert (await scene.run()).done
    assert scene.world.of(id_) == {"hosting": "active", "email": "active"}
    assert (await scene.service("email"))["removed_at"] is None


async def test_a_suspension_of_unknown_outcome_is_undone_by_a_payment(scene: Scene) -> None:
    id_ = await scene.sell()
    scene.world.misbehave("hosting", "fail_after")
    await scene.tell("unpaid")
    assert not (await scene.run()).done
    assert scene.world.of(id_) == {"hosting": "suspended"}
    await scene.tell("active")
    assert (await scene.run()).done
    assert scene.world.of(id_) == {"hosting": "active"}
    create, suspend, resume = scene.world.calls
    assert (create.generation, suspend.generation, resume.generation) == (1, 2, 3)


async def test_a_broken_run_says_so_and_is_tried_again(scene: Scene) -> None:
    await scene.tell("active")
    await scene.tell_invoice("paid")
    await scene.pool.execute("ALTER TABLE tenants ADD CHECK (name <> 'New customer')")
    with pytest.raises(asyncpg.CheckViolationError):
        await scene.run()
    work = await scene.work()
    assert work["last_error"] == "failed: CheckViolationError"
    assert (work["lease_token"], work["wake_at"] is None) == (None, False)


async def test_an_account_that_is_somebody_elses_is_refused(scene: Scene) -> None:
    await scene.sell()
    other = scene.world.accounts[0].reference
    await scene.tell("active", id_="sub_2", customer="cus_2")
    await scene.tell_invoice("paid", "in_2", subscription="sub_2", customer="cus_2")
    scene.world.results[f"{await scene.id_of('sub_2')}:hosting:create:1"] = Done(other)
    outcome = await scene.run("sub_2")
    assert "belongs to another subscription" in (outcome.error or "")
    assert (await scene.service(id_="sub_2"))["external_ref"] is None
