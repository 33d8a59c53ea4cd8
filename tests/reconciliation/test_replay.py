"""Events that never came are received all the same."""

from typing import Any

from tests.reconciliation.conftest import Reconciler
from tests.service import Service


async def test_lost_events_are_reported_and_then_received(
    service: Service, reconciler: Reconciler, order_a: dict[str, Any]
) -> None:
    await service.stripe.set_delivery(drop=1.0)
    answer = await service.buy(order_a)
    assert await service.pool.fetchval("SELECT count(*) FROM stripe_events") == 0

    told = await reconciler.run(dry_run=True)
    events = {d.found for d in told.drift if d.object_type == "event"}
    assert events >= {
        "checkout.session.completed",
        "customer.subscription.created",
        "invoice.paid",
        "invoice_payment.paid",
    }
    assert await service.pool.fetchval("SELECT count(*) FROM stripe_events") == 0

    result = await reconciler.run()
    assert result.figures["outcome"] == "repaired"
    assert {d.object_type for d in result.drift} == {"event"}  # the rest has followed from them
    row = await service.row("SELECT id::text, status, stripe_status FROM subscriptions")
    assert tuple(row) == (answer["subscriptionId"], "pending", "active")
    session = await service.row("SELECT status FROM checkout_sessions")
    assert session["status"] == "complete"
    statuses = await service.pool.fetch("SELECT DISTINCT status FROM stripe_events")
    assert {row["status"] for row in statuses} <= {"applied", "stale"}
    assert (await reconciler.run()).figures["outcome"] == "clean"


async def test_an_event_of_before_the_time_in_question_is_left(
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
