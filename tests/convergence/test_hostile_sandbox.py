"""Months of billing at the sandbox are mirrored correctly, however badly events are delivered."""

import os
import time
from collections.abc import Mapping
from typing import Any

import pytest
import stripe

from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.types import normalise
from mpanel_billing.mirror.types.invoice import InvoiceFacts
from mpanel_billing.mirror.types.subscription import SubscriptionFacts
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.convergence.rows import run_refetches
from tests.service import Service

SEEDS = int(os.environ.get("HOSTILE_SEEDS", "1"))
DAY = 86_400
FAILING = "4000000000000341"

HOSTILITIES: dict[str, dict[str, Any]] = {
    "twice and in any order": {"duplicate": True, "reorder": True},
    "all in one second": {"duplicate": True, "reorder": True, "same_second": True},
    "late": {"delay": 0.05, "duplicate": True, "reorder": True},
    "a third is lost": {"drop": 0.33, "reorder": True},
}


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
@pytest.mark.parametrize("hostility", HOSTILITIES.values(), ids=list(HOSTILITIES))
async def test_months_of_billing_delivered_badly_end_as_stripe_has_them(
    service: Service, gateway: StripeGateway, hostility: Mapping[str, Any], seed: int
) -> None:
    api = gateway.client.v1
    await service.stripe.set_delivery(**hostility, seed=seed)
    bought = await service.order(ORDER | {"customer": {"name": "A", "email": "a@example.com"}})
    await service.stripe.pay(bought["url"])
    clock, customer = await clocked_customer(gateway.client)
    price = await service.pool.fetchval(
        "SELECT stripe_price_id FROM prices WHERE lookup_key = 'starter_monthly_usd'"
    )
    bigger = await service.pool.fetchval(
        "SELECT stripe_price_id FROM prices WHERE lookup_key = 'premium_monthly_usd'"
    )
    lives = [await subscribe(gateway.client, customer, price, trial) for trial in (0, 0, 14)]
    now = int(time.time())
    await service.stripe.advance_clock(clock, now + 33 * DAY)
    item = lives[0]["items"]["data"][0]["id"]
    await api.subscriptions.update_async(lives[0].id, {"items": [{"id": item, "price": bigger}]})
    await api.subscriptions.update_async(lives[1].id, {"cancel_at_period_end": True})
    await service.stripe.replace_card(customer, FAILING)
    await service.stripe.advance_clock(clock, now + 46 * DAY)
    await service.stripe.replace_card(customer, "4242424242424242")
    await service.stripe.advance_clock(clock, now + 97 * DAY)
    await api.subscriptions.cancel_async(lives[2].id)

    await service.stripe.wait_idle(30)
    await service.stripe.set_delivery()
    if "drop" in hostility:
        await repair(service, gateway)
    await run_refetches(Mirror(service.pool, gateway, livemode=False))
    await compare(service, gateway)


ORDER: dict[str, Any] = {
    "planId": "starter",
    "billingCycle": "monthly",
    "trialActive": False,
    "addonIds": [],
    "domain": {"mode": "later", "value": ""},
}


async def clocked_customer(client: stripe.StripeClient) -> tuple[str, str]:
    """Make a customer on a test clock, with a card."""
    clock = await client.v1.test_helpers.test_clocks.create_async({"frozen_time": int(time.time())})
    customer = await client.v1.customers.create_async(
        {"email": "grace@example.com", "name": "Grace", "test_clock": clock.id}
    )
    card = await client.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    await client.v1.customers.update_async(
        customer.id, {"invoice_settings": {"default_payment_method": card.id}}
    )
    return clock.id, customer.id


async def subscribe(
    client: stripe.StripeClient, customer: str, price: str, trial_days: int
) -> stripe.Subscription:
    params: Any = {"customer": customer, "items": [{"price": price}]}
    if trial_days:
        params["trial_period_days"] = trial_days
    return await client.v1.subscriptions.create_async(params)


async def everything(gateway: StripeGateway) -> list[Mapping[str, Any]]:
    """List all subscriptions and invoices as Stripe has them."""
    api = gateway.client.v1
    subscriptions = await api.subscriptions.list_async({"status": "all", "limit": 100})
    invoices = await api.invoices.list_async({"limit": 100})
    return [found.to_dict() for found in (*subscriptions.data, *invoices.data)]


async def repair(service: Service, gateway: StripeGateway) -> None:
    """Fetch every object, as a reconciliation does for events that were lost."""
    for found in await everything(gateway):
        await Mirror(service.pool, gateway, livemode=False).refresh(found["object"], found["id"])


async def compare(service: Service, gateway: StripeGateway) -> None:
    truth = [normalise(found, livemode=False) for found in await everything(gateway)]
    assert len([t for t in truth if isinstance(t, SubscriptionFacts)]) == 4
    for facts in truth:
        if isinstance(facts, SubscriptionFacts):
            await compare_subscription(service, facts)
        elif isinstance(facts, InvoiceFacts):
            await compare_invoice(service, facts)


async def compare_subscription(service: Service, facts: SubscriptionFacts) -> None:
    row = await service.row(
        "SELECT * FROM subscriptions WHERE stripe_subscription_id = $1", facts.object_id
    )
    names = (
        "stripe_status",
        "stripe_customer_id",
        "amount",
        "current_period_start",
        "current_period_end",
        "trial_end",
        "cancel_at_period_end",
        "canceled_at",
        "ended_at",
    )
    assert {name: row[name] for name in names} == {name: getattr(facts, name) for name in names}
    items = await service.pool.fetch(
        "SELECT stripe_subscription_item_id, stripe_price_id FROM subscription_items"
        " WHERE subscription_id = $1",
        row["id"],
    )
    assert {tuple(item) for item in items} == {
        (item.stripe_subscription_item_id, item.stripe_price_id) for item in facts.items
    }


async def compare_invoice(service: Service, facts: InvoiceFacts) -> None:
    row = await service.row("SELECT * FROM invoices WHERE stripe_invoice_id = $1", facts.object_id)
    names = ("stripe_status", "amount_due", "amount_paid", "amount_remaining", "attempt_count")
    assert {name: row[name] for name in names} == {name: getattr(facts, name) for name in names}
    assert row["subscription_id"] is not None
