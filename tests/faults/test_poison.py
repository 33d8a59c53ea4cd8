"""One event or one subscription that cannot be processed, among others that can."""

import pytest

from tests import stripe_objects as made
from tests.faults.convergence import check_converged
from tests.faults.deployment import Deployment
from tests.faults.load import under_load
from tests.faults.reliability_document import ReliabilityDocument

POISONED = "sub_made_in_dashboard_poisoned"


async def test_an_event_that_cannot_be_applied(
    deployment: Deployment, document: ReliabilityDocument
) -> None:
    await deployment.start_web()
    await deployment.start_worker()
    await deployment.pool.execute(
        "ALTER TABLE subscriptions ADD CONSTRAINT poison "
        f"CHECK (stripe_subscription_id <> '{POISONED}') NOT VALID"
    )
    event = made.event(
        "customer.subscription.updated",
        made.subscription(POISONED, customer="cus_unknown"),
        id_="evt_poisoned",
    )
    async with under_load(deployment) as load:
        await deployment.send_event(event)
        await load.wait_for_purchases(1)
    trouble = await deployment.pool.fetch("SELECT trouble, object_id FROM billing_trouble")
    assert [tuple(row) for row in trouble] == [("event_failed", "evt_poisoned")]
    row = await deployment.pool.fetchrow(
        "SELECT attempts, last_error, next_attempt_at - received_at AS delay FROM stripe_events "
        "WHERE id = 'evt_poisoned'"
    )
    assert row["attempts"] == 1
    assert "poison" in row["last_error"]
    assert row["delay"].total_seconds() == pytest.approx(60, abs=10)
    await deployment.pool.execute("ALTER TABLE subscriptions DROP CONSTRAINT poison")
    assert "evt_poisoned" in await deployment.run_command("events", "replay-failed")
    await check_converged(deployment, load)
    assert deployment.responses.statuses() == {200}
    document.record(
        "an event that cannot be applied, under load",
        deployment.responses,
        recovered="the event is kept as failed, others go on; once the cause is fixed, its retry "
        "after a minute, or `events replay-failed`",
    )


async def test_a_subscription_whose_work_breaks(
    deployment: Deployment, document: ReliabilityDocument
) -> None:
    await deployment.start_web()
    session_id = await deployment.buy()
    await deployment.stripe.wait_idle()
    row = await deployment.wait_for_row("SELECT id FROM subscriptions WHERE status = 'pending'")
    await deployment.pool.execute(
        "ALTER TABLE tenant_services ADD CONSTRAINT poison "
        f"CHECK (subscription_id <> '{row['id']}') NOT VALID"
    )
    await deployment.start_worker()
    async with under_load(deployment) as load:
        await deployment.wait_for_row(
            "SELECT 1 FROM provisioning_work WHERE last_error IS NOT NULL"
        )
        await load.wait_for_purchases(1)
    work = await deployment.pool.fetchrow(
        "SELECT attempts, wake_at > now() AS waits FROM provisioning_work "
        "WHERE subscription_id = $1",
        row["id"],
    )
    assert (work["attempts"], work["waits"]) == (1, True)
    trouble = await deployment.pool.fetch("SELECT trouble, subscription_id FROM billing_trouble")
    assert [tuple(line) for line in trouble] == [("work_failed", row["id"])]
    await deployment.pool.execute("ALTER TABLE tenant_services DROP CONSTRAINT poison")
    await deployment.run_command("provision", "retry", str(row["id"]))
    await deployment.wait_until_active(session_id)
    await check_converged(deployment, load)
    assert deployment.responses.statuses() == {200}
    document.record(
        "a subscription whose provisioning fails, under load",
        deployment.responses,
        recovered="its page says that it is in progress; once the cause is fixed, its next retry, "
        "or `provision retry`",
    )
