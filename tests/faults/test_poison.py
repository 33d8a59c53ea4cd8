"""One event or one subscription that breaks whoever touches it, among others that do not."""

import pytest

from tests import stripe_objects as made
from tests.faults.commands import operate
from tests.faults.convergence import check_converged
from tests.faults.ledger import Ledger
from tests.faults.load import under_load
from tests.faults.town import Town

POISONED = "sub_made_in_dashboard_poisoned"


async def test_an_event_that_cannot_be_applied(town: Town, ledger: Ledger) -> None:
    await town.start_web()
    await town.start_worker()
    await town.pool.execute(
        "ALTER TABLE subscriptions ADD CONSTRAINT poison "
        f"CHECK (stripe_subscription_id <> '{POISONED}') NOT VALID"
    )
    event = made.event(
        "customer.subscription.updated",
        made.subscription(POISONED, customer="cus_unknown"),
        id_="evt_poisoned",
    )
    async with under_load(town) as load:
        await town.tell(event)
        await load.reach(1)
    trouble = await town.pool.fetch("SELECT trouble, object_id FROM billing_trouble")
    assert [tuple(row) for row in trouble] == [("event_failed", "evt_poisoned")]
    row = await town.pool.fetchrow(
        "SELECT attempts, last_error, next_attempt_at - received_at AS delay FROM stripe_events "
        "WHERE id = 'evt_poisoned'"
    )
    assert row["attempts"] == 1
    assert "poison" in row["last_error"]
    assert row["delay"].total_seconds() == pytest.approx(60, abs=10)
    await town.pool.execute("ALTER TABLE subscriptions DROP CONSTRAINT poison")
    assert "evt_poisoned" in await operate(town, "events", "replay-failed")
    await check_converged(town, load)
    assert town.journal.statuses() == {200}
    ledger.enter(
        "an event that cannot be applied, under load",
        town.journal,
        recovered="the event is kept as failed, others go on; once the cause is fixed, its retry "
        "after a minute, or `events replay-failed`",
    )


async def test_a_subscription_whose_work_breaks(town: Town, ledger: Ledger) -> None:
    await town.start_web()
    session_id = await town.buy()
    await town.stripe.wait_idle()
    row = await town.wait_for_row("SELECT id FROM subscriptions WHERE status = 'pending'")
    await town.pool.execute(
        "ALTER TABLE tenant_services ADD CONSTRAINT poison "
        f"CHECK (subscription_id <> '{row['id']}') NOT VALID"
    )
    await town.start_worker()
    async with under_load(town) as load:
        await town.wait_for_row("SELECT 1 FROM provisioning_work WHERE last_error IS NOT NULL")
        await load.reach(1)
    work = await town.pool.fetchrow(
        "SELECT attempts, wake_at > now() AS waits FROM provisioning_work "
        "WHERE subscription_id = $1",
        row["id"],
    )
    assert (work["attempts"], work["waits"]) == (1, True)
    trouble = await town.pool.fetch("SELECT trouble, subscription_id FROM billing_trouble")
    assert [tuple(line) for line in trouble] == [("work_failed", row["id"])]
    await town.pool.execute("ALTER TABLE tenant_services DROP CONSTRAINT poison")
    await operate(town, "provision", "retry", str(row["id"]))
    await town.follow(session_id)
    await check_converged(town, load)
    assert town.journal.statuses() == {200}
    ledger.enter(
        "a subscription whose provisioning fails, under load",
        town.journal,
        recovered="its page says that it is in progress; once the cause is fixed, its next retry, "
        "or `provision retry`",
    )
