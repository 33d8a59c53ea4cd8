"""A preview says what a change will be charged with, and changes nothing."""

from typing import Any

import pytest
import stripe

from stripe_sandbox.client import SandboxClient
from tests.stripe_sandbox.conftest import DAY, START, Shop


async def preview(shop: Shop, subscription: stripe.Subscription, **details: Any) -> stripe.Invoice:
    item = subscription.to_dict()["items"]["data"][0]["id"]
    price = shop.prices[details.pop("price")]
    return await shop.api.v1.invoices.create_preview_async(
        {
            "subscription": subscription.id,
            "subscription_details": {"items": [{"id": item, "price": price}], **details},
        }
    )


@pytest.mark.parametrize(("price", "behavior"), [("bigger", "always_invoice"), ("yearly", "none")])
async def test_a_change_that_is_billed_at_once_is_previewed_as_it_is_billed(
    shop: Shop, driver: SandboxClient, price: str, behavior: str
) -> None:
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)
    await driver.advance_clock(clock, START + 10 * DAY)
    shown = await preview(shop, subscription, price=price, proration_behavior=behavior)
    item = subscription.to_dict()["items"]["data"][0]["id"]
    await shop.api.v1.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": item, "price": shop.prices[price]}],
            "proration_behavior": behavior,  # type: ignore[typeddict-item]
        },
    )
    charged = (await shop.invoices(subscription.id))[-1]
    assert shown.amount_due == charged.amount_paid > 0
    assert [line.amount for line in shown.lines.data] == [
        line.amount for line in charged.lines.data
    ]
    details = shown.parent.subscription_details  # type: ignore[union-attr]
    weighed = START + 10 * DAY if behavior != "none" else None
    assert details.subscription_proration_date == weighed  # type: ignore[union-attr]


async def test_a_preview_leaves_everything_as_it_was(shop: Shop, driver: SandboxClient) -> None:
    subscription = await shop.buy()
    await driver.wait_idle()
    told = len(shop.receiver.events)
    for price in ("bigger", "yearly"):
        for behavior in ("always_invoice", "create_prorations"):
            await preview(shop, subscription, price=price, proration_behavior=behavior)
    await driver.wait_idle()
    assert await shop.fetch(subscription.id) == subscription
    assert len(await shop.invoices(subscription.id)) == 1
    assert (await shop.api.v1.invoice_items.list_async({"pending": True})).data == []
    assert len(shop.receiver.events) == told


async def test_the_end_of_a_trial_is_previewed_with_what_waits_for_it(shop: Shop) -> None:
    subscription = await shop.buy("monthly", subscription_data={"trial_period_days": 14})
    await shop.api.v1.invoice_items.create_async(
        {
            "customer": str(subscription.customer),
            "subscription": subscription.id,
            "amount": 1299,
            "currency": "usd",
        }
    )
    goes_on = await preview(shop, subscription, price="bigger")
    assert (goes_on.amount_due, goes_on.period_end) == (3000 + 1299, subscription.trial_end)
    ends = await preview(shop, subscription, price="bigger", trial_end="now")
    assert ends.amount_due == 3000 + 1299
    assert ends.period_end < subscription.trial_end  # type: ignore[operator]


async def test_what_the_sandbox_does_not_act_on_is_refused(shop: Shop) -> None:
    subscription = await shop.buy()
    with pytest.raises(stripe.InvalidRequestError) as raised:
        await preview(shop, subscription, price="bigger", billing_cycle_anchor="now")
    assert raised.value.param == "subscription_details[billing_cycle_anchor]"
