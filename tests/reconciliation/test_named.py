"""Reconcile takes any name of an object, and compares what belongs to it."""

from typing import Any

import pytest

from mpanel_billing.errors import NotFoundError
from mpanel_billing.reconciliation.objects import reconcile_object
from tests.reconciliation.conftest import Reconciler
from tests.service import Service

WRONG = (
    "UPDATE subscriptions SET stripe_status = 'past_due' WHERE stripe_subscription_id IS NOT NULL"
)
NAMES = {
    "customer at Stripe": "SELECT stripe_customer_id FROM subscriptions",
    "our id of the customer": "SELECT customer_id::text FROM subscriptions",
    "our id of the subscription": "SELECT id::text FROM subscriptions",
    "payment": "SELECT stripe_payment_intent_id FROM invoice_payments",
    "session": "SELECT stripe_session_id FROM checkout_sessions",
    "event": "SELECT id FROM stripe_events WHERE type = 'customer.subscription.created'",
    "e-mail address": "SELECT email FROM customers",
}


async def test_any_name_of_a_purchase_repairs_its_subscription(
    service: Service, reconciler: Reconciler, order_a: dict[str, Any]
) -> None:
    await service.buy(order_a)
    left = {}
    for kind, query in NAMES.items():
        await service.pool.execute(WRONG)
        name = await service.pool.fetchval(query)
        drift = await reconcile_object(reconciler.context, name, dry_run=False)
        found = [(each.object_type, each.field) for each in drift if each.object_type != "account"]
        if found != [("subscription", "stripe_status")]:
            left[kind] = found
    assert left == {}


async def test_an_invoice_of_a_customer_is_compared_without_a_subscription(
    service: Service, reconciler: Reconciler, order_a: dict[str, Any]
) -> None:
    await service.buy(order_a)
    await service.pool.execute("UPDATE invoices SET stripe_status = 'open'")
    customer = await service.pool.fetchval("SELECT stripe_customer_id FROM subscriptions")
    (drift,) = await reconcile_object(reconciler.context, customer, dry_run=True)
    assert (drift.object_type, drift.field, drift.ours) == ("invoice", "stripe_status", "open")


async def test_a_name_that_nothing_has_is_refused(service: Service, reconciler: Reconciler) -> None:
    with pytest.raises(NotFoundError, match="Nothing found for nobody"):
        await reconcile_object(reconciler.context, "nobody@example.com", dry_run=True)
