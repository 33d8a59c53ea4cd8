"""A run that is interrupted around a repair still reports what it has repaired."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import pytest

from mpanel_billing.provisioning.converge import Provisioning, provision_tenant_for_subscription
from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.reconciliation import runs
from mpanel_billing.reconciliation.runs import RunRequest
from tests.inline_worker import GRACE, RETENTION
from tests.provisioning.world import World
from tests.reconciliation.conftest import Reconciler
from tests.service import Service
from tests.waiting import until_blocking

Differ = Callable[[Service, Reconciler, World], Awaitable[None]]


async def lose_an_event(service: Service, _: Reconciler, __: World) -> None:
    await service.pool.execute("DELETE FROM stripe_events WHERE type = 'invoice.paid'")


async def change_the_mirror(service: Service, _: Reconciler, __: World) -> None:
    await service.pool.execute("UPDATE subscriptions SET amount = 1")


async def delete_a_draft(service: Service, reconciler: Reconciler, _: World) -> None:
    customer = await service.pool.fetchval("SELECT stripe_customer_id FROM subscriptions")
    invoices = reconciler.context.mirror.stripe.client.v1.invoices
    draft = await invoices.create_async({"customer": customer})
    await service.stripe.wait_idle()
    await invoices.delete_async(draft.id)
    await service.stripe.wait_idle()
    # as if the event had been lost, and were too old to be listed
    await service.pool.execute(
        "UPDATE invoices SET stripe_status = 'draft', status = 'draft'"
        " WHERE stripe_invoice_id = $1",
        draft.id,
    )


async def change_an_account(service: Service, reconciler: Reconciler, world: World) -> None:
    provisioning = Provisioning(
        service.pool,
        reconciler.context.mirror.stripe,
        reconciler.context.drivers,
        Policy(GRACE, RETENTION),
        "panel.test",
        livemode=False,
    )
    subscription = await service.pool.fetchval("SELECT id FROM subscriptions")
    await provision_tenant_for_subscription(provisioning, subscription)
    world.accounts[0].actual = "suspended"


DIFFERENCES: Mapping[str, tuple[str, Differ]] = {
    "replay": ("event", lose_an_event),
    "compare": ("subscription", change_the_mirror),
    "absent": ("invoice", delete_a_draft),
    "inspect": ("account", change_an_account),
}

BEFORE_THE_REPORT = "LOCK TABLE billing_reconcile_drift IN SHARE MODE"
AFTER_THE_REPAIR = "SELECT 1 FROM billing_reconcile_slices WHERE step = '{step}' FOR UPDATE"


@pytest.mark.parametrize("lock", [BEFORE_THE_REPORT, AFTER_THE_REPAIR], ids=["report", "repair"])
@pytest.mark.parametrize("step", DIFFERENCES)
async def test_what_was_repaired_before_an_interruption_is_reported(
    *,
    service: Service,
    reconciler: Reconciler,
    world: World,
    order_a: dict[str, Any],
    step: str,
    lock: str,
) -> None:
    await service.buy(order_a)
    object_type, differ = DIFFERENCES[step]
    await differ(service, reconciler, world)
    run_id = await runs.open_run(service.pool, RunRequest("command", livemode=False))
    async with service.pool.acquire() as other, other.transaction():
        await other.execute(lock.format(step=step))
        running = asyncio.create_task(runs.continue_run(reconciler.context, run_id))
        await until_blocking(other, service.pool)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    result = await reconciler.run()
    assert result.figures["id"] == run_id
    assert {d.object_type for d in result.drift} == {object_type}
    assert all(d.repaired for d in result.drift)
    assert result.figures["outcome"] == "repaired"
    assert (await reconciler.run()).figures["outcome"] == "clean"
