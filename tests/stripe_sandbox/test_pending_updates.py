"""`payment_behavior=pending_if_incomplete`: a change waits until it is paid."""

from typing import Any

import pytest
import stripe

from tests.stripe_sandbox.calls import add_default_card
from tests.stripe_sandbox.conftest import DAY, START

HOUR = 3600
FAILS, PAYS = "4000000000000341", "4242424242424242"


async def begin(shop) -> tuple[str, stripe.Subscription]:
    clock, customer = await shop.clocked_customer()
    await add_default_card(shop, customer)
    bought = await shop.api.v1.subscriptions.create_async(
        {"customer": customer, "items": [{"price": shop.prices["monthly"]}]}
    )
    return clock, bought


async def upgrade(shop, subscription, **more: Any) -> stripe.Subscription:
    item = {"id": subscription["items"].data[0].id, "price": shop.prices["bigger"]}
    change: Any = {
        "items": [item],
        "proration_behavior": "always_invoice",
        "payment_behavior": "pending_if_incomplete",
        "metadata": {"plan": "bigger"},
    }
    return await shop.api.v1.subscriptions.update_async(subscription.id, change | more)


def planned(subscription) -> dict[str, str]:
    return subscription.pending_update.metadata.to_dict()


def price_of(subscription) -> str:
    return subscription["items"].data[0].price.id


@pytest.mark.parametrize(("more", "quantity"), [({}, 1), ({"quantity": 2}, 2)])
async def test_another_price_sets_the_quantity_to_1_unless_one_is_given(
    shop, more: dict[str, int], quantity: int
):
    """As the documentation of `items[].price` says; the same price leaves it."""
    _, bought = await begin(shop)
    update, item = shop.api.v1.subscriptions.update_async, bought["items"].data[0].id
    same = {"id": item, "price": shop.prices["monthly"]}
    await update(bought.id, {"items": [{"id": item, "quantity": 3}]})
    kept = await update(bought.id, {"items": [same]})
    assert kept["items"].data[0].quantity == 3
    given = [{"id": item, "price": shop.prices["bigger"], **more}]
    shown = await shop.api.v1.invoices.create_preview_async(
        {"subscription": bought.id, "subscription_details": {"items": given}}
    )
    assert 3000 * quantity in [line.amount for line in shown.lines.data]
    await shop.driver.replace_card(bought.customer, FAILS)
    how = {"payment_behavior": "pending_if_incomplete", "proration_behavior": "always_invoice"}
    waiting = await update(bought.id, {"items": given, **how})
    (planned_item,) = waiting.pending_update.subscription_items
    assert planned_item.quantity == quantity
    assert waiting["items"].data[0].quantity == 3


async def test_a_paid_change_applies_at_once(shop):
    _, bought = await begin(shop)
    changed = await upgrade(shop, bought)
    assert (price_of(changed), changed.pending_update) == (shop.prices["bigger"], None)
    assert [i.total for i in await shop.invoices(bought.id)] == [1000, 2000]
    await shop.driver.wait_idle()
    assert not any("pending_update" in name for name in shop.receiver.types())


async def test_an_unpaid_change_waits_and_applies_when_it_is_paid(shop):
    _, bought = await begin(shop)
    await shop.driver.replace_card(bought.customer, FAILS)
    waiting = await upgrade(shop, bought)
    assert (waiting.status, price_of(waiting)) == ("active", shop.prices["monthly"])
    assert (waiting.metadata.to_dict(), planned(waiting)) == ({}, {"plan": "bigger"})
    assert waiting.pending_update.subscription_items[0].price.id == shop.prices["bigger"]
    assert waiting.pending_update.expires_at == START + 23 * HOUR
    invoice = await shop.api.v1.invoices.retrieve_async(waiting.latest_invoice)
    assert (invoice.status, invoice.total, invoice.next_payment_attempt) == ("open", 2000, None)
    with pytest.raises(stripe.CardError):
        await shop.api.v1.invoices.pay_async(invoice.id)
    assert (await shop.fetch(bought.id)).pending_update == waiting.pending_update

    await shop.driver.replace_card(bought.customer, PAYS)
    await shop.api.v1.invoices.pay_async(invoice.id)
    applied = await shop.fetch(bought.id)
    assert (price_of(applied), applied.pending_update) == (shop.prices["bigger"], None)
    assert applied.metadata.to_dict() == {"plan": "bigger"}
    await shop.driver.wait_idle()
    assert "customer.subscription.pending_update_applied" in shop.receiver.types()


async def test_an_unpaid_change_expires_after_23_hours(shop):
    clock, bought = await begin(shop)
    await shop.driver.replace_card(bought.customer, FAILS)
    waiting = await upgrade(shop, bought)
    await shop.driver.advance_clock(clock, START + 23 * HOUR - 1)
    assert (await shop.fetch(bought.id)).pending_update
    await shop.driver.advance_clock(clock, START + 23 * HOUR)
    kept = await shop.fetch(bought.id)
    assert (kept.status, price_of(kept), kept.pending_update) == (
        "active", shop.prices["monthly"], None,
    )  # fmt: skip
    invoice = await shop.api.v1.invoices.retrieve_async(waiting.latest_invoice)
    assert invoice.status == "void"
    await shop.driver.wait_idle()
    assert "customer.subscription.pending_update_expired" in shop.receiver.types()


async def test_a_pending_change_expires_with_the_period_if_that_is_sooner(shop):
    clock, bought = await begin(shop)
    await shop.driver.replace_card(bought.customer, FAILS)
    await shop.driver.advance_clock(clock, START + 31 * DAY - HOUR)
    waiting = await upgrade(shop, bought, proration_date=START)
    assert waiting.pending_update.expires_at == START + 31 * DAY


async def test_another_change_takes_the_place_of_a_pending_one(shop):
    _, bought = await begin(shop)
    await shop.driver.replace_card(bought.customer, FAILS)
    first = await upgrade(shop, bought)
    second = await upgrade(shop, bought, metadata={"plan": "again"})
    assert planned(second) == {"plan": "again"}
    old = await shop.api.v1.invoices.retrieve_async(first.latest_invoice)
    assert old.status == "void"


async def test_what_does_not_wait_is_refused_with_it(shop):
    _, bought = await begin(shop)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await upgrade(shop, bought, description="x")
    assert refused.value.param == "description"
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await shop.api.v1.subscriptions.create_async(
            {
                "customer": bought.customer,
                "items": [{"price": shop.prices["bigger"]}],
                "payment_behavior": "pending_if_incomplete",
            }
        )
    assert refused.value.param == "payment_behavior"
