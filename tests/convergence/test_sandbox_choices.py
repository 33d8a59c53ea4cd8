"""Whichever way Stripe goes where both are plausible, the service's rows are what Stripe has."""

import time
from collections.abc import Mapping
from typing import Any

import pytest
import stripe

from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.reconciliation.compare import ReconcileContext, compare_object
from stripe_sandbox import Choices
from tests.convergence.clocked import ClockedStripe, clocked_stripe
from tests.convergence.rows import run_refetches
from tests.convergence.switched_life import HALVES, SwitchedLife
from tests.inbox import Inbox
from tests.provisioning.world import World

DAY = 86_400
START = int(time.time())

WAYS = {
    "the defaults": Choices(),
    "invoice.upcoming without an id": Choices(upcoming_invoice_ids=False),
    "a replaced discount is created and deleted": Choices(replaced_discounts="created-deleted"),
    "no event when a coupon is used up": Choices(used_up_discounts="silent"),
    "the flag of an end is cleared": Choices(ended_flag="cleared"),
}


async def live_with_discounts(stripe: ClockedStripe) -> str:
    """Use a coupon up, replace another, set an end and cancel before; return the subscription."""
    api = stripe.gateway.client.v1
    clock, customer, price = await _begin(api)
    for coupon, duration in (("ONCE", "once"), ("TEN", "forever"), ("FIVE", "forever")):
        await api.coupons.create_async({"id": coupon, "percent_off": 10, "duration": duration})
    discounts: list[Any] = [{"coupon": "ONCE"}, {"coupon": "TEN"}]
    bought = await api.subscriptions.create_async(
        {"customer": customer, "items": [{"price": price}], "discounts": discounts}
    )
    await api.test_helpers.test_clocks.advance_async(clock, {"frozen_time": START + 33 * DAY})
    await api.subscriptions.update_async(bought.id, {"discounts": [{"coupon": "FIVE"}]})
    await api.subscriptions.update_async(bought.id, {"cancel_at_period_end": True})
    await api.subscriptions.cancel_async(bought.id)
    return bought.id


async def _begin(api: stripe.V1Services) -> tuple[str, str, str]:
    clock = await api.test_helpers.test_clocks.create_async({"frozen_time": START})
    customer = await api.customers.create_async({"email": "a@b.test", "test_clock": clock.id})
    card = await api.payment_methods.attach_async("pm_card_visa", {"customer": customer.id})
    await api.customers.update_async(
        customer.id, {"invoice_settings": {"default_payment_method": card.id}}
    )
    price = await api.prices.create_async(
        {
            "product_data": {"name": "Starter"},
            "currency": "usd",
            "unit_amount": 799,
            "recurring": {"interval": "month"},
        }
    )
    return clock.id, customer.id, price.id


@pytest.mark.parametrize("choices", WAYS.values(), ids=WAYS)
async def test_discounts_and_ends_are_mirrored_whichever_way_stripe_goes(
    inbox: Inbox, choices: Choices
) -> None:
    async with clocked_stripe(choices) as stripe:
        mirror = Mirror(inbox.pool, stripe.gateway, livemode=False)
        context = ReconcileContext(mirror, World().drivers(), dry_run=True)
        subscription = await live_with_discounts(stripe)
        events: list[Mapping[str, Any]] = await stripe.take_events()
        for event in events:
            await inbox.receive(event)
        await run_refetches(mirror)
        assert await compare_object(context, "subscription", subscription) == []
        types = {event["type"] for event in events}
    assert {"invoice.upcoming", "customer.subscription.deleted"} <= types
    assert ("customer.discount.updated" in types) == (choices.replaced_discounts == "updated")


SWITCHED = {"the defaults": {}, **{f"part {n}": ways for n, ways in enumerate(HALVES, start=1)}}
LISTED = ("subscriptions", "invoices", "refunds", "charges")


@pytest.mark.parametrize("ways", SWITCHED.values(), ids=SWITCHED)
async def test_the_rows_are_what_stripe_has_however_its_switches_are_set(
    inbox: Inbox, ways: Mapping[str, str]
) -> None:
    async with clocked_stripe(Choices(**ways)) as stripe:  # type: ignore[arg-type]
        mirror = Mirror(inbox.pool, stripe.gateway, livemode=False)
        context = ReconcileContext(mirror, World().drivers(), dry_run=True)
        await SwitchedLife(stripe, START).live()
        for event in await stripe.take_events():
            await inbox.receive(event)
        await run_refetches(mirror)
        drift, seen = [], 0
        for name in LISTED:
            page = await getattr(stripe.gateway.client.v1, name).list_async(
                {"limit": 100, **({"status": "all"} if name == "subscriptions" else {})}
            )
            seen += len(page.data)
            for one in page.data:
                drift += await compare_object(context, name.removesuffix("s"), one.id)
    assert drift == []
    assert seen > 50
