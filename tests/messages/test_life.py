"""A customer's whole life is told, from the order to the end, by the real parts."""

from datetime import datetime

from mpanel_billing.messages.types import TYPES
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning import operations
from tests.inline_worker import RETENTION
from tests.messages.conftest import Life, Panel, send_due

DAY = 86_400


async def test_a_purchase_is_told_once_and_in_order(life: Life, panel: Panel) -> None:
    await panel.add(life.pool)
    await life.buy()
    await send_due(life.sender)
    assert panel.types[0] == "order.placed"
    assert sorted(panel.types) == [
        "invoice.created", "invoice.paid", "order.placed", "subscription.activated", "tenant.ready"
    ]  # fmt: skip
    assert [message["sequence"] for message in panel.got] == [1, 2, 3, 4, 5]
    assert {message["type"] for message in panel.got} <= TYPES.keys()
    assert len({message["data"]["customer"]["email"] for message in panel.got}) == 1


async def test_a_renewal_and_the_end_are_told(life: Life, panel: Panel) -> None:
    await life.buy()
    await panel.add(life.pool)
    stripe = life.service.stripe
    await stripe.advance_time(await stripe.now() + 32 * DAY)
    await life.worker.catch_up()
    await send_due(life.sender)
    assert sorted(panel.types) == [
        "invoice.created", "invoice.paid", "invoice.upcoming", "subscription.renewed"
    ]  # fmt: skip
    panel.got.clear()
    id_ = await life.pool.fetchval("SELECT stripe_subscription_id FROM subscriptions")
    await life.worker.gateway.client.v1.subscriptions.cancel_async(id_)
    await life.worker.catch_up()
    await send_due(life.sender)
    assert sorted(panel.types) == ["subscription.ended", "tenant.suspended"]
    said = {message["type"]: message["data"] for message in panel.got}
    ended = datetime.fromisoformat(said["subscription.ended"]["subscription"]["endedAt"])
    suspension = said["tenant.suspended"]["suspension"]
    assert suspension["reason"] == "ended"
    assert datetime.fromisoformat(suspension["keptUntil"]) == ended + RETENTION
    assert "invoice" not in said["tenant.suspended"]


async def test_an_operators_hold_is_not_told_as_a_debt(life: Life, panel: Panel) -> None:
    await life.buy()
    await panel.add(life.pool)
    id_ = await life.pool.fetchval("SELECT id FROM subscriptions")
    await operations.suspend(life.pool, id_, reason="abuse", operator="grace")
    await life.worker.catch_up()
    await send_due(life.sender)
    assert sorted(panel.types) == ["subscription.suspended", "tenant.suspended"]
    for message in panel.got:
        assert message["data"]["suspension"] == {"reason": "held", "keptUntil": None}
        assert "invoice" not in message["data"]
        assert "abuse" not in str(message), "what operators say to each other"


async def test_a_comparison_tells_nothing(life: Life, panel: Panel) -> None:
    """What it finds may be long over; what mPanel was not told of, it finds in its rows."""
    await life.buy()
    await panel.add(life.pool)
    await life.pool.execute("UPDATE invoices SET stripe_status = 'draft', stripe_as_of = now()")
    await life.pool.execute("DELETE FROM billing_messages")
    mirror = Mirror(life.pool, life.worker.gateway, livemode=False, silent=True)
    id_ = await life.pool.fetchval("SELECT stripe_invoice_id FROM invoices")
    await mirror.refresh("invoice", id_)
    assert await life.pool.fetchval("SELECT stripe_status FROM invoices") == "paid"
    assert await life.pool.fetchval("SELECT count(*) FROM billing_messages") == 0


async def test_a_routine_update_writes_nothing(life: Life, panel: Panel) -> None:
    await panel.add(life.pool)
    await life.buy()
    count = await life.pool.fetchval("SELECT count(*) FROM billing_messages")
    id_ = await life.pool.fetchval("SELECT stripe_subscription_id FROM subscriptions")
    update = life.worker.gateway.client.v1.subscriptions.update_async
    await update(id_, {"metadata": {"note": "x"}})
    await life.worker.catch_up()
    assert await life.pool.fetchval("SELECT count(*) FROM billing_messages") == count
