"""Reconcile receives the events that no webhook delivered."""

from typing import Any

from mpanel_billing.reconciliation.replay import replay_events
from mpanel_billing.stripe_gateway.objects import EVENTS
from tests.reconciliation.conftest import Reconciler
from tests.service import Service


async def test_lost_events_are_reported_and_then_received(
    service: Service, reconciler: Reconciler, order_a: dict[str, Any]
) -> None:
    await service.stripe.set_delivery(drop=1.0)
    response = await service.buy(order_a)
    assert await service.pool.fetchval("SELECT count(*) FROM stripe_events") == 0

    report = await reconciler.run(dry_run=True)
    events = {d.found for d in report.drift if d.object_type == "event"}
    assert events >= {
        "checkout.session.completed",
        "customer.subscription.created",
        "invoice.paid",
        "invoice_payment.paid",
    }
    assert await service.pool.fetchval("SELECT count(*) FROM stripe_events") == 0

    result = await reconciler.run()
    assert result.figures["outcome"] == "repaired"
    assert {d.object_type for d in result.drift} == {"event"}  # everything else follows from them
    row = await service.row("SELECT id::text, status, stripe_status FROM subscriptions")
    assert tuple(row) == (response["subscriptionId"], "pending", "active")
    session = await service.row("SELECT status FROM checkout_sessions")
    assert session["status"] == "complete"
    statuses = await service.pool.fetch("SELECT DISTINCT status FROM stripe_events")
    assert {row["status"] for row in statuses} <= {"applied", "stale"}
    assert (await reconciler.run()).figures["outcome"] == "clean"


async def test_a_session_whose_order_was_lost_brings_it_back(
    service: Service, reconciler: Reconciler, order_a: dict[str, Any]
) -> None:
    """After a restored backup its event may be the first of the purchase that is read."""
    await service.stripe.set_delivery(drop=1.0)
    order = await service.buy(order_a)
    await service.pool.execute(
        "DELETE FROM subscriptions; DELETE FROM billing_deleted_subscriptions"  # as if never here
    )
    page = await reconciler.context.mirror.stripe.list_page(EVENTS, {})
    (told,) = [each for each in page.objects if each["type"] == "checkout.session.completed"]
    await replay_events(reconciler.context.mirror, [told], fetch_unknown=True)
    row = await service.row("SELECT subscription_id::text, status FROM checkout_sessions")
    assert tuple(row) == (order["subscriptionId"], "complete")


async def test_events_before_the_period_are_skipped(
    service: Service, reconciler: Reconciler, order_a: dict[str, Any]
) -> None:
    await service.stripe.set_delivery(drop=1.0)
    await service.buy(order_a)
    now = await service.stripe.now()
    await service.stripe.advance_time(now + 3 * 86_400)
    await service.pool.execute(
        "ALTER TABLE billing_reconcile_runs ALTER started_at SET DEFAULT now() + interval '3 days'"
    )
    result = await reconciler.run(since_days=1)
    assert result.figures["events"] == 0
