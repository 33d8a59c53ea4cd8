"""Objects on a test clock are ordered right, by whichever clock their events are dated."""

import random
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

import pytest

from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.reconciliation.compare import ReconcileContext, compare_object
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from stripe_sandbox import Choices
from tests.convergence.clocked import ClockedStripe, clocked_stripe
from tests.convergence.rows import run_refetches
from tests.inbox import Inbox
from tests.provisioning.world import World

DAY = 86_400


@pytest.fixture(params=["real", "clock"])
async def stripe(request: pytest.FixtureRequest) -> AsyncIterator[ClockedStripe]:
    """A Stripe that dates the events of a test clock by real time, or by that clock."""
    dated: Literal["real", "clock"] = request.param
    async with clocked_stripe(Choices(event_time=dated)) as stripe:
        yield stripe


async def live_on_a_clock(gateway: StripeGateway, started: int) -> AsyncIterator[str]:
    """Live three months on a test clock; yields the subscription after each thing that happens."""
    api = gateway.client.v1
    clock = await api.test_helpers.test_clocks.create_async({"frozen_time": started})
    customer = await api.customers.create_async({"email": "a@b.test", "test_clock": clock.id})
    card = await api.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    await api.customers.update_async(
        customer.id, {"invoice_settings": {"default_payment_method": card.id}}
    )
    product = await api.products.create_async({"name": "Starter"})
    price = await api.prices.create_async(
        {
            "product": product.id,
            "currency": "usd",
            "unit_amount": 799,
            "recurring": {"interval": "month"},
        }
    )
    subscription = await api.subscriptions.create_async(
        {"customer": customer.id, "items": [{"price": price.id}]}
    )
    yield subscription.id
    item = subscription["items"]["data"][0]["id"]
    for month in range(1, 4):
        await api.test_helpers.test_clocks.advance_async(
            clock.id, {"frozen_time": started + month * 32 * DAY}
        )
        yield subscription.id
        await api.subscriptions.update_async(
            subscription.id, {"items": [{"id": item, "quantity": month + 1}]}
        )
        yield subscription.id
    await api.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})
    yield subscription.id


@pytest.mark.parametrize("days", [-200, 0, 200], ids=["past", "now", "future"])
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_life_on_a_test_clock_is_mirrored_as_stripe_has_it(
    inbox: Inbox, stripe: ClockedStripe, days: int, seed: int
) -> None:
    """Each step's events arrive in any order, some twice; in between, objects are fetched."""
    gateway = stripe.gateway
    mirror = Mirror(inbox.pool, gateway, livemode=False)
    context = ReconcileContext(mirror, World().drivers(), dry_run=True)
    chance = random.Random(seed)
    delivered: list[Mapping[str, Any]] = []
    async for subscription in live_on_a_clock(gateway, int(time.time()) + days * DAY):
        news = await stripe.take_events()
        delivered += news
        arriving = [*news, *chance.sample(delivered, k=min(3, len(delivered)))]
        chance.shuffle(arriving)
        for event in arriving:
            await inbox.receive(event)
            if chance.random() < 0.1:
                await mirror.refresh("subscription", subscription)
        await run_refetches(mirror)
        assert await compare_object(context, "subscription", subscription) == []
    invoices = await gateway.client.v1.invoices.list_async({"limit": 100})
    assert len(invoices.data) >= 4
    for invoice in invoices.data:
        assert await compare_object(context, "invoice", str(invoice.id)) == []
    failed = "SELECT id, last_error FROM stripe_events WHERE status = 'failed'"
    assert await inbox.pool.fetch(failed) == []
