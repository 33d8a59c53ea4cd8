"""The work of a subscription, on a real database, with an outside world that can fail."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import asyncpg
import pytest

from mpanel_billing.provisioning import operations
from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.provisioning.drivers.protocol import Done
from mpanel_billing.provisioning.finishing import Outcome
from mpanel_billing.provisioning.lease import LeaseBusyError, LeaseLostError
from tests.provisioning.conftest import GRACE, RETENTION, ProvisioningSystem


async def test_a_paid_subscription_gets_a_tenant_and_its_accounts(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell("premium_monthly_usd")

    subscription = await system.inbox.subscription()
    tenant = await system.inbox.row("SELECT * FROM tenants")
    assert subscription["status"] == "active"
    assert subscription["tenant_id"] == tenant["id"]
    assert tenant["billing_subscription_id"] == id_
    assert tenant["status"] == "active"
    assert tenant["domain"].endswith(".panel.test")
    assert system.world.of(id_) == {"hosting": "active", "email": "active"}
    assert [order.product_type for order in system.world.calls] == ["hosting", "email"]
    work = await system.work()
    assert (work["done_version"], work["wake_at"], work["lease_token"]) == (
        work["version"],
        None,
        None,
    )
    log = await system.pool.fetch("SELECT * FROM provisioning_log ORDER BY id")
    assert [(row["product_type"], row["action"], row["outcome"]) for row in log] == [
        ("hosting", "create", "done"),
        ("email", "create", "done"),
    ]
    assert log[0]["idempotency_key"] == f"{id_}:hosting:create:1"
    assert (await system.inbox.row("SELECT tenant_id FROM invoices"))["tenant_id"] == tenant["id"]


async def test_a_second_run_changes_nothing(system: ProvisioningSystem) -> None:
    id_ = await system.sell()
    await system.pool.execute("UPDATE provisioning_work SET version = version + 1")
    assert (await system.run()).done
    assert len(system.world.calls) == 1
    assert await system.pool.fetchval("SELECT count(*) FROM tenants") == 1
    assert system.world.of(id_) == {"hosting": "active"}


async def test_an_invoice_written_while_the_tenant_is_created_gets_it_too(
    system: ProvisioningSystem,
) -> None:
    """The invoice was written by a transaction that had not seen the tenant yet."""
    await system.sell()
    await system.pool.execute("UPDATE invoices SET tenant_id = NULL")
    await system.pool.execute("UPDATE provisioning_work SET version = version + 1")
    assert (await system.run()).done
    tenant = await system.pool.fetchval("SELECT id FROM tenants")
    assert await system.pool.fetchval("SELECT tenant_id FROM invoices") == tenant


async def test_the_end_of_a_run_does_not_wait_for_locked_invoices(
    system: ProvisioningSystem,
) -> None:
    """Its transaction may be waiting for the lock on the subscription, which the run holds."""
    await system.sell()
    await system.pool.execute("UPDATE invoices SET tenant_id = NULL")
    await system.pool.execute("UPDATE provisioning_work SET version = version + 1")
    async with system.pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM invoices FOR UPDATE")
        assert (await system.run()).done
    assert await system.pool.fetchval("SELECT tenant_id FROM invoices") is None


async def test_nothing_is_provisioned_before_the_first_payment(system: ProvisioningSystem) -> None:
    await system.deliver_subscription("active")
    assert (await system.run()).done
    assert (await system.inbox.subscription())["status"] == "provisional"
    assert system.world.calls == []
    assert await system.pool.fetchval("SELECT count(*) FROM tenants") == 0


async def test_a_subscription_without_catalogue_products_is_active_without_a_tenant(
    system: ProvisioningSystem,
) -> None:
    await system.deliver_subscription("active", "something_else")
    await system.deliver_invoice("paid")
    assert (await system.run()).done
    subscription = await system.inbox.subscription()
    assert (subscription["status"], subscription["tenant_id"]) == ("active", None)


async def test_only_the_failed_service_is_retried(system: ProvisioningSystem) -> None:
    system.world.misbehave("email", "fail_before", "fail_before")
    await system.deliver_subscription("active", "premium_monthly_usd")
    await system.deliver_invoice("paid")
    outcome = await system.run()
    assert outcome == Outcome(done=False, error="email: HTTP 503")
    assert (await system.inbox.subscription())["status"] == "pending"
    work = await system.work()
    assert work["last_error"] == "email: HTTP 503"
    assert 5 < (work["wake_at"] - work["updated_at"]).total_seconds() < 20

    await system.make_due()
    assert not (await system.run()).done
    await system.make_due()
    assert (await system.run()).done
    assert [order.product_type for order in system.world.calls] == ["hosting"] + 3 * ["email"]
    assert len({order.idempotency_key for order in system.world.calls}) == 2
    assert (await system.inbox.subscription())["status"] == "active"
    assert (await system.work())["last_error"] is None


async def test_a_service_is_left_alone_until_its_next_try_is_due(
    system: ProvisioningSystem,
) -> None:
    system.world.misbehave("hosting", "fail_before")
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    await system.run()
    await system.pool.execute("UPDATE provisioning_work SET wake_at = now()")
    assert not (await system.run()).done
    assert len(system.world.calls) == 1


async def test_mail_is_not_created_before_its_hosting_account(system: ProvisioningSystem) -> None:
    system.world.misbehave("hosting", "fail_before")
    await system.deliver_subscription("active", "premium_monthly_usd")
    await system.deliver_invoice("paid")
    outcome = await system.run()
    assert outcome.error == "hosting: HTTP 503; email: waiting for hosting"
    assert [order.product_type for order in system.world.calls] == ["hosting"]


async def test_a_refused_command_stops_the_service_and_shows(system: ProvisioningSystem) -> None:
    system.world.misbehave("hosting", "refuse")
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    await system.run()
    work = await system.work()
    assert (work["wake_at"], work["last_error"]) == (None, "hosting: HTTP 422: no")
    trouble = await system.pool.fetch("SELECT trouble, detail FROM billing_trouble")
    assert ("provisioning_failed", "HTTP 422: no") in [tuple(row) for row in trouble]
    await system.run()
    assert len(system.world.calls) == 1


async def test_a_refused_command_is_sent_again_when_the_desired_state_changes(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell("starter_monthly_usd")
    system.world.misbehave("hosting", "refuse")
    await system.deliver_subscription("active", "premium_monthly_usd")
    assert not (await system.run()).done
    await system.deliver_subscription("active", "business_monthly_usd")
    assert (await system.run()).done
    [hosting] = [a for a in system.world.accounts if a.product_type == "hosting"]
    assert (hosting.subscription_id, hosting.resources["disk_gb"]) == (id_, 200)


async def test_a_command_whose_response_was_lost_is_not_carried_out_twice(
    system: ProvisioningSystem,
) -> None:
    system.world.misbehave("hosting", "fail_after")
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    await system.run()
    assert (await system.service())["pending_action"] == "create"
    await system.make_due()
    assert (await system.run()).done
    assert system.world.of(await system.id_of()) == {"hosting": "active"}


async def test_a_crash_before_the_drivers_result_is_stored_is_repaired(
    system: ProvisioningSystem,
) -> None:
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    system.world.gate.clear()
    run = asyncio.create_task(system.run())
    await system.world.entered.wait()
    system.world.carry_out(system.world.calls[0])
    await _vanish(run)

    await system.kill_run()
    system.world.gate.set()
    assert (await system.run()).done
    first, second = system.world.calls
    assert (first.idempotency_key, first.details) == (second.idempotency_key, second.details)
    assert system.world.of(await system.id_of()) == {"hosting": "active"}


async def _vanish(run: asyncio.Task[Outcome]) -> None:
    run.cancel()
    await asyncio.wait({run})


async def test_a_stopped_run_hands_over_at_once(system: ProvisioningSystem) -> None:
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    system.world.gate.clear()
    run = asyncio.create_task(system.run())
    await system.world.entered.wait()
    await _vanish(run)
    system.world.gate.set()
    assert (await system.run()).done


async def test_two_runs_never_work_on_one_subscription(system: ProvisioningSystem) -> None:
    await system.deliver_subscription("active", "premium_monthly_usd")
    await system.deliver_invoice("paid")
    system.world.gate.clear()
    first = asyncio.create_task(system.run())
    await system.world.entered.wait()
    with pytest.raises(LeaseBusyError) as busy:
        await system.run()
    assert 0 < busy.value.seconds <= 15
    system.world.gate.set()
    assert (await first).done
    assert system.world.most_at_once == 1
    assert len(system.world.calls) == 2


async def test_a_run_that_was_superseded_logs_its_call_and_changes_nothing(
    system: ProvisioningSystem,
) -> None:
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    system.world.gate.clear()
    slow = asyncio.create_task(system.run())
    await system.world.entered.wait()
    await system.kill_run()
    system.world.entered.clear()
    other = asyncio.create_task(system.run())
    await system.world.entered.wait()
    system.world.gate.set()
    with pytest.raises(LeaseLostError):
        await slow
    assert (await other).done
    assert await system.pool.fetchval("SELECT count(*) FROM provisioning_log") == 2
    assert system.world.of(await system.id_of()) == {"hosting": "active"}
    assert (await system.service())["generation"] == 1


async def test_a_desired_state_that_changes_during_the_run_is_reached_by_the_same_run(
    system: ProvisioningSystem,
) -> None:
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    system.world.gate.clear()
    run = asyncio.create_task(system.run())
    await system.world.entered.wait()
    await system.deliver_subscription("unpaid")
    system.world.gate.set()
    assert (await run).done
    assert system.world.of(await system.id_of()) == {"hosting": "suspended"}
    assert (await system.inbox.subscription())["status"] == "suspended"


async def test_an_unpaid_subscription_is_suspended_and_comes_back_with_the_payment(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell()
    await system.deliver_subscription("unpaid")
    assert (await system.run()).done
    tenant_status = "SELECT status FROM tenants"
    assert system.world.of(id_) == {"hosting": "suspended"}
    assert (await system.inbox.subscription())["status"] == "suspended"
    assert await system.pool.fetchval(tenant_status) == "suspended"
    assert system.world.calls[-1].details == {"reason": "unpaid"}

    await system.deliver_subscription("active")
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "active"}
    assert (await system.inbox.subscription())["status"] == "active"
    assert await system.pool.fetchval(tenant_status) == "active"


async def test_grace_runs_from_the_oldest_debt(system: ProvisioningSystem) -> None:
    id_ = await system.sell()
    made_at = int((datetime.now(UTC) - GRACE / 2).timestamp())
    await system.deliver_invoice("open", "in_2", created=made_at, attempt_count=1)
    await system.deliver_subscription("past_due")
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "active"}
    wake_at = (await system.work())["wake_at"]
    assert wake_at == datetime.fromtimestamp(made_at, UTC) + GRACE

    impatient = replace(system.provisioning, policy=Policy(GRACE / 4, RETENTION))
    system.provisioning = impatient
    await system.make_due()
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "suspended"}


async def test_an_ended_subscription_is_terminated_after_retention_only(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell()
    ended_at = int((datetime.now(UTC) - RETENTION / 2).timestamp())
    await system.deliver_subscription("canceled", ended_at=ended_at, canceled_at=ended_at)
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "suspended"}
    assert (await system.work())["wake_at"] == datetime.fromtimestamp(ended_at, UTC) + RETENTION

    system.provisioning = replace(system.provisioning, policy=Policy(GRACE, RETENTION / 4))
    await system.make_due()
    assert (await system.run()).done
    assert system.world.of(id_) == {}
    assert (await system.inbox.subscription())["status"] == "cancelled"
    assert await system.pool.fetchval("SELECT status FROM tenants") == "cancelled"
    assert (await system.work())["wake_at"] is None


async def test_an_upgrade_changes_the_account_and_adds_what_is_new(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell("starter_monthly_usd")
    await system.deliver_subscription("active", "premium_monthly_usd")
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "active", "email": "active"}
    hosting = next(a for a in system.world.accounts if a.product_type == "hosting")
    assert hosting.resources["disk_gb"] == 100
    assert [order.action for order in system.world.calls] == ["create", "change", "create"]


async def test_less_is_not_sent_while_what_is_used_does_not_fit(system: ProvisioningSystem) -> None:
    await system.sell("premium_monthly_usd")
    system.world.unfit["hosting"] = "60 GB are used"
    system.world.calls.clear()
    await system.deliver_subscription("active", "starter_monthly_usd")
    outcome = await system.run()
    assert not outcome.done
    assert "60 GB are used" in str(outcome.error)
    assert [each for each in system.world.calls if each.product_type == "hosting"] == []
    hosting = next(a for a in system.world.accounts if a.product_type == "hosting")
    assert hosting.resources["disk_gb"] == 100
    system.world.unfit.clear()
    assert await operations.retry_all(system.pool) == 1
    assert (await system.run()).done
    assert hosting.resources["disk_gb"] < 100


async def test_a_removed_product_is_suspended_and_its_return_resumes_it(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell("premium_monthly_usd")
    await system.deliver_subscription("active", "starter_monthly_usd")
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "active", "email": "suspended"}
    reasons = [order.details for order in system.world.calls if order.action == "suspend"]
    assert reasons == [{"reason": "removed"}]
    assert (await system.service("email"))["removed_at"] is not None
    assert (await system.inbox.subscription())["status"] == "active"

    await system.deliver_subscription("active", "premium_monthly_usd")
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "active", "email": "active"}
    assert (await system.service("email"))["removed_at"] is None


async def test_a_suspension_of_unknown_outcome_is_undone_by_a_payment(
    system: ProvisioningSystem,
) -> None:
    id_ = await system.sell()
    system.world.misbehave("hosting", "fail_after")
    await system.deliver_subscription("unpaid")
    assert not (await system.run()).done
    assert system.world.of(id_) == {"hosting": "suspended"}
    await system.deliver_subscription("active")
    assert (await system.run()).done
    assert system.world.of(id_) == {"hosting": "active"}
    create, suspend, resume = system.world.calls
    assert (create.generation, suspend.generation, resume.generation) == (1, 2, 3)


async def test_a_failed_run_shows_its_error_and_is_retried(system: ProvisioningSystem) -> None:
    await system.deliver_subscription("active")
    await system.deliver_invoice("paid")
    await system.pool.execute("ALTER TABLE tenants ADD CHECK (name <> 'New customer')")
    with pytest.raises(asyncpg.CheckViolationError):
        await system.run()
    work = await system.work()
    assert work["last_error"] == "failed: CheckViolationError"
    assert (work["lease_token"], work["wake_at"] is None) == (None, False)


async def test_an_account_of_another_subscription_is_refused(system: ProvisioningSystem) -> None:
    await system.sell()
    other = system.world.accounts[0].reference
    await system.deliver_subscription("active", id_="sub_2", customer="cus_2")
    await system.deliver_invoice("paid", "in_2", subscription="sub_2", customer="cus_2")
    system.world.results[f"{await system.id_of('sub_2')}:hosting:create:1"] = Done(other)
    outcome = await system.run("sub_2")
    assert "belongs to another subscription" in (outcome.error or "")
    assert (await system.service(id_="sub_2"))["external_ref"] is None
