"""Orders that were never paid lose their personal data after KEEP_UNPAID_ORDERS_DAYS."""

from dataclasses import fields, replace
from typing import Any

import pytest

from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.retention.repository import Ages
from mpanel_billing.retention.service import count_prunable, prune
from tests.inline_worker import InlineWorker
from tests.privacy.conftest import ADA, NEEDLES, places_of
from tests.service import Service

AGES = replace(Ages(*[36_500] * len(fields(Ages))), unpaid_orders=90)
DOMAIN = {"mode": "register", "value": "qxlovelace.com"}


@pytest.fixture
def order(order_a: dict[str, Any]) -> dict[str, Any]:
    return {**order_a, "customer": ADA, "domain": DOMAIN}


async def let_pass(service: Service, days: int) -> None:
    """Make all orders and their payment pages so many days older; no event says that they end."""
    for query in (
        "UPDATE orders SET created_at = created_at - make_interval(days => $1)",
        "UPDATE subscriptions SET created_at = created_at - make_interval(days => $1)",
        "UPDATE checkout_sessions SET expires_at = expires_at - make_interval(days => $1)",
    ):
        await service.pool.execute(query, days)


async def test_an_old_unpaid_order_is_anonymous(service: Service, order: dict[str, Any]) -> None:
    await service.order(order)
    await service.stripe.wait_idle()
    await let_pass(service, 89)
    assert not any((await prune(service.pool, AGES)).values())
    assert "customers.email" in await places_of(service.pool, *NEEDLES)
    await let_pass(service, 2)
    assert (await count_prunable(service.pool, AGES))["unpaid_orders"] == 1
    assert (await prune(service.pool, AGES))["unpaid_orders"] == 1
    assert await places_of(service.pool, *NEEDLES) == []
    assert not any((await prune(service.pool, AGES)).values())


async def test_reconcile_and_events_do_not_bring_it_back(
    service: Service, worker: InlineWorker, order: dict[str, Any]
) -> None:
    await service.order(order)
    await service.stripe.wait_idle()
    await let_pass(service, 91)
    id_ = await service.pool.fetchval("SELECT id FROM stripe_customers")
    await prune(service.pool, AGES)
    await Mirror(service.pool, worker.gateway, livemode=False).refresh("customer", id_)
    await worker.gateway.client.v1.customers.update_async(id_, {"name": "Ada Qxlovelace II"})
    await service.stripe.wait_idle()
    assert await places_of(service.pool, *NEEDLES) == []
    assert await service.pool.fetchval("SELECT reason FROM billing_erasures") == "unpaid"


async def test_an_order_that_was_paid_and_its_customer_are_left_alone(
    service: Service, worker: InlineWorker, order: dict[str, Any]
) -> None:
    await service.buy(order)
    await worker.catch_up()
    before = await places_of(service.pool, *NEEDLES)
    await let_pass(service, 91)
    assert (await prune(service.pool, AGES))["unpaid_orders"] == 0
    assert await places_of(service.pool, *NEEDLES) == before


@pytest.mark.parametrize("other", ["paid", "young"])
async def test_a_customer_with_another_order_only_loses_the_old_one(
    service: Service, order: dict[str, Any], other: str
) -> None:
    abandoned = await service.order(order)
    await let_pass(service, 91)
    another = order | {"planId": "premium", "domain": {"mode": "later", "value": ""}}
    if other == "paid":
        await service.buy(another)
    else:
        await service.order(another)
    await prune(service.pool, AGES)
    row = await service.row(
        "SELECT c.email, s.metadata FROM subscriptions AS s JOIN customers AS c"
        " ON c.id = s.customer_id WHERE s.id = $1::text::uuid",
        abandoned["subscriptionId"],
    )
    assert row["email"] == ADA["email"]
    assert "domainValue" not in row["metadata"]
    params = await service.pool.fetch("SELECT params FROM checkout_sessions ORDER BY created_at")
    assert params[0]["params"] == {}
    assert params[1]["params"] != {}
