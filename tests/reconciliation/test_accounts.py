"""Reconcile compares the services' accounts with our records."""

from typing import Any

from mpanel_billing.provisioning.converge import Provisioning, provision_tenant_for_subscription
from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.reconciliation.objects import reconcile_object
from tests.inline_worker import GRACE, RETENTION
from tests.provisioning.world import World
from tests.reconciliation.conftest import Reconciler
from tests.service import Service


async def test_an_account_changed_outside_is_repaired(
    service: Service, reconciler: Reconciler, world: World, order_a: dict[str, Any]
) -> None:
    response = await service.buy(order_a)
    provisioning = _provisioning(service, reconciler)
    row = await service.row("SELECT id, stripe_subscription_id FROM subscriptions")
    await provision_tenant_for_subscription(provisioning, row["id"])
    world.accounts[0].actual = "suspended"
    report = await reconciler.run(dry_run=True)
    (drift,) = report.drift
    assert (drift.object_type, drift.field, drift.ours, drift.found) == (
        "account",
        "actual",
        "active",
        "suspended",
    )
    assert drift.object_id.startswith(f"{response['subscriptionId']}/")
    one = await reconcile_object(reconciler.context, row["stripe_subscription_id"], dry_run=True)
    assert [d.object_id for d in one] == [drift.object_id]

    assert (await reconciler.run()).figures["outcome"] == "repaired"
    await provision_tenant_for_subscription(provisioning, row["id"])
    assert world.accounts[0].actual == "active"
    after = await reconciler.run()
    assert after.figures["outcome"] == "clean"
    assert after.figures["accounts"] == len(world.accounts)


def _provisioning(service: Service, reconciler: Reconciler) -> Provisioning:
    return Provisioning(
        service.pool,
        reconciler.context.mirror.stripe,
        reconciler.context.drivers,
        Policy(GRACE, RETENTION),
        "panel.test",
        livemode=False,
    )
