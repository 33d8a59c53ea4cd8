"""The work of a subscription, on a real database, with an outside world that can fail."""

from tests.provisioning.conftest import Scene


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
    assert (work["done_version"], work["wake_at"], work["lease_token"]) == (work["version"], None, None)
    log = await scene.pool.fetch("SELECT * FROM provisioning_log ORDER BY id")
    assert [(row["product_type"], row["action"], row["outcome"]) for row in log] == [
        ("hosting", "create", "done"),
        ("email", "create", "done"),
    ]
    assert log[0]["idempotency_key"] == f"{id_}:hosting:create:1"
    assert (await scene.inbox.row("SELECT tenant_id FROM invoices"))["tenant_id"] == tenant["id"]
