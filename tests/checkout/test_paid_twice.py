"""What was paid for twice is noticed, and no service is provisioned over another (rule 7)."""

import logging
from typing import Any

import asyncpg
import pytest

from tests.inline_worker import InlineWorker
from tests.service import Service

COM = {"domain": {"mode": "register", "value": "ada.com"}}
TENANTS = "SELECT domain, billing_subscription_id::text AS subscription_id FROM tenants"


async def troubles(service: Service) -> list[asyncpg.Record]:
    return await service.pool.fetch("SELECT * FROM billing_trouble WHERE trouble = 'paid_twice'")


async def cancel(worker: InlineWorker, stripe_subscription_id: str) -> None:
    await worker.gateway.client.v1.subscriptions.cancel_async(stripe_subscription_id)
    await worker.catch_up()


async def pay(service: Service, page: str) -> None:
    paid = await service.stripe.pay(page)
    assert paid.status == 303, paid


async def test_a_domain_that_two_tabs_have_paid_for_stays_with_the_first(
    service: Service,
    worker: InlineWorker,
    order_a: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = await service.order(order_a | COM)
    await service.pool.execute("UPDATE orders SET created_at = now() - interval '1 hour'")
    second = await service.order(order_a | COM)
    await pay(service, first["url"])
    await pay(service, second["url"])
    with caplog.at_level(logging.WARNING):
        await worker.catch_up()
    tenants = {row["subscription_id"]: row["domain"] for row in await service.pool.fetch(TENANTS)}
    assert tenants[first["subscriptionId"]] == "ada.com"
    assert tenants[second["subscriptionId"]].endswith(".panel.test")
    (trouble,) = await troubles(service)
    assert str(trouble["subscription_id"]) == second["subscriptionId"]
    assert "ada.com" in trouble["detail"]
    [record] = [
        r for r in caplog.records if r.getMessage() == "the ordered domain is not available"
    ]
    assert vars(record)["subscriptionId"] == second["subscriptionId"]

    row = await service.row(
        "SELECT stripe_subscription_id AS id FROM subscriptions WHERE id::text = $1",
        second["subscriptionId"],
    )
    await cancel(worker, row["id"])
    assert await troubles(service) == []


async def take_up(service: Service, session_id: str) -> str:
    """Open an expired session's recovery link; return the new payment page."""
    row = await service.row(
        "SELECT recovery_url FROM checkout_sessions WHERE stripe_session_id = $1", session_id
    )
    link = row["recovery_url"]
    async with service.client.session.get(link, allow_redirects=False) as opened:
        return opened.headers["Location"]


async def test_an_order_that_is_paid_through_two_recovered_sessions_is_noticed(
    service: Service,
    worker: InlineWorker,
    order_a: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    order = await service.order(order_a | COM)
    await service.stripe.advance_time(await service.stripe.now() + 24 * 3600)
    await service.stripe.wait_idle()
    pages = [await take_up(service, order["sessionId"]) for _ in range(2)]
    with caplog.at_level(logging.WARNING):
        for page in pages:
            await pay(service, page)
            await worker.catch_up()
    assert "an order was paid twice" in caplog.text
    (trouble,) = await troubles(service)
    assert str(trouble["subscription_id"]) == order["subscriptionId"]
    tenants = await service.pool.fetch(TENANTS)
    assert len(tenants) == 2
    assert [t["subscription_id"] for t in tenants if t["domain"] == "ada.com"] == [
        order["subscriptionId"]
    ]
    statuses = await service.pool.fetch("SELECT status FROM subscriptions")
    assert [row["status"] for row in statuses] == ["active", "active"]

    await cancel(worker, trouble["object_id"])
    assert await troubles(service) == []


async def test_an_order_that_was_changed_and_then_paid_by_its_recovery_link_is_shown(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    """Stripe's link outlives our calling it off: a person has to see that both were paid."""
    changed = await service.order(order_a)
    await service.buy(order_a | {"planId": "premium"})
    await service.stripe.wait_idle()
    paid = await service.stripe.pay(await take_up(service, changed["sessionId"]))
    assert paid.status == 303
    await worker.catch_up()
    (trouble,) = await service.pool.fetch("SELECT * FROM billing_trouble")
    assert trouble["trouble"] == "paid_twice"
    assert str(trouble["subscription_id"]) == changed["subscriptionId"]


async def test_an_order_that_the_buyer_came_back_to_is_not_trouble(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    await service.order(order_a)
    await service.order(order_a | {"planId": "premium"})
    await service.buy(order_a)
    await worker.catch_up()
    assert await service.pool.fetch("SELECT * FROM billing_trouble") == []
