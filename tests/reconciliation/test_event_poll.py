"""While no webhook comes, the worker asks Stripe for the events of open orders."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.types import EVENT_TYPES
from mpanel_billing.reconciliation.event_poll import POLLED_TYPES, poll_events
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import MAX_EVENT_TYPES, Page, Resource
from tests.inline_worker import InlineWorker
from tests.processes import running_worker
from tests.reconciliation.conftest import StripeWrapper
from tests.service import Service

DUE_SCHEDULE = (
    "INSERT INTO pgqueuer_schedules (expression, entrypoint) VALUES ('* * * * *', 'poll_events')"
)
"""What a worker has left that was killed a minute ago."""


class CountingStripe(StripeWrapper):
    """Counts the lists that are asked for, and notes how far back they go."""

    def __init__(self, stripe: Any) -> None:
        super().__init__(stripe)
        self.asked: list[Mapping[str, Any]] = []

    async def list_page(self, resource: Resource, params: Mapping[str, Any]) -> Page:
        self.asked.append(params)
        return await super().list_page(resource, params)


def counting(worker: InlineWorker) -> tuple[Mirror, CountingStripe]:
    stripe = CountingStripe(worker.gateway)
    mirror = Mirror(worker.service.pool, worker.gateway, livemode=False)
    return replace(mirror, stripe=stripe), stripe  # type: ignore[arg-type]


async def let_a_minute_pass(service: Service) -> None:
    """Date everything that is on record a minute back."""
    minute = "interval '61 seconds'"
    await service.pool.execute(f"UPDATE stripe_events SET received_at = received_at - {minute}")
    await service.pool.execute(
        f"UPDATE stripe_event_polls SET polled_at = polled_at - {minute}, "
        f"found_at = found_at - {minute}"
    )


async def status_of(service: Service) -> str:
    status: str = (await service.row("SELECT status FROM subscriptions"))["status"]
    return status


async def test_a_paid_order_is_served_without_a_webhook_and_without_a_browser(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    mirror, stripe = counting(worker)
    await service.stripe.set_delivery(drop=1.0)
    await service.buy(order_a)
    assert await status_of(service) == "provisional"
    assert await poll_events(mirror) > 0
    await worker.catch_up()
    assert await status_of(service) == "active"
    assert len(stripe.asked) == 1
    statuses = await service.pool.fetch("SELECT DISTINCT status FROM stripe_events")
    assert {row["status"] for row in statuses} <= {"applied", "stale"}


async def test_what_is_paid_later_is_found_a_minute_later(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    """What a poll has stored is no webhook: it delays nothing."""
    mirror, _ = counting(worker)
    await service.stripe.set_delivery(drop=1.0)
    page = await service.order(order_a)
    assert await poll_events(mirror) > 0  # the customer
    await service.stripe.pay(page["url"], "4242424242424242")
    assert await poll_events(mirror) == 0  # within the minute
    await service.pool.execute(
        "UPDATE stripe_event_polls SET polled_at = polled_at - interval '1 minute'"
    )
    assert await poll_events(mirror) > 0
    await worker.catch_up()
    assert await status_of(service) == "active"


async def test_stripe_is_not_asked_while_webhooks_come(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    mirror, stripe = counting(worker)
    await service.order(order_a)
    await service.stripe.wait_idle()
    assert await service.pool.fetchval("SELECT count(*) FROM stripe_events") > 0
    assert await poll_events(mirror) == 0
    assert stripe.asked == []
    await let_a_minute_pass(service)
    assert await poll_events(mirror) == 0  # nothing was lost
    assert len(stripe.asked) == 1


async def test_stripe_is_not_asked_while_nobody_can_pay(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    mirror, stripe = counting(worker)
    await service.buy(order_a)
    await let_a_minute_pass(service)
    assert await poll_events(mirror) == 0
    await service.order(order_a | {"customer": {"name": "Bob", "email": "bob@example.com"}})
    await service.stripe.wait_idle()
    await let_a_minute_pass(service)
    await service.pool.execute(
        "UPDATE checkout_sessions SET expires_at = now() - interval '2 hours' WHERE status = 'open'"
    )
    assert await poll_events(mirror) == 0
    assert stripe.asked == []


async def test_of_several_workers_one_asks(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    mirror, stripe = counting(worker)
    await service.stripe.set_delivery(drop=1.0)
    await service.buy(order_a)
    await asyncio.gather(*(poll_events(mirror) for _ in range(5)))
    assert len(stripe.asked) == 1


async def test_the_list_is_read_from_where_the_last_poll_ended(
    service: Service, worker: InlineWorker, order_a: dict[str, Any]
) -> None:
    mirror, stripe = counting(worker)
    await service.stripe.set_delivery(drop=1.0)
    await service.order(order_a)
    await service.pool.execute(
        "UPDATE checkout_sessions SET created_at = created_at - interval '5 hours'"
    )
    await poll_events(mirror)
    await let_a_minute_pass(service)
    await poll_events(mirror)
    first, second = (asked["created"]["gte"] for asked in stripe.asked)
    assert second - first >= 5 * 3600 - 60
    assert set(stripe.asked[0]["types"]) == set(POLLED_TYPES)


async def test_when_stripe_cannot_be_asked_the_next_minute_tries_again(
    service: Service, worker: InlineWorker, gateway: StripeGateway, order_a: dict[str, Any]
) -> None:
    mirror, _ = counting(worker)
    await service.stripe.set_delivery(drop=1.0)
    await service.buy(order_a)
    await service.stripe.inject_fault(method="GET", path="/v1/events", times=3)
    assert await poll_events(mirror) == 0
    await let_a_minute_pass(service)
    assert await poll_events(mirror) > 0


async def test_the_worker_asks_on_its_own(
    service: Service, database_url: str, order_a: dict[str, Any]
) -> None:
    await service.stripe.set_delivery(drop=1.0)
    await service.buy(order_a)
    await service.pool.execute(DUE_SCHEDULE)
    served = asyncio.Event()
    async with service.pool.acquire() as conn:
        await conn.add_listener("billing_subscription", lambda *_: served.set())
        async with (
            running_worker(database_url, stripe_url=service.sandbox.url),
            asyncio.timeout(90),
        ):
            while await status_of(service) != "active":
                await served.wait()
                served.clear()
        await conn.reset()


def test_stripe_takes_the_types_in_one_request() -> None:
    assert len(POLLED_TYPES) <= MAX_EVENT_TYPES
    assert set(POLLED_TYPES) <= EVENT_TYPES
