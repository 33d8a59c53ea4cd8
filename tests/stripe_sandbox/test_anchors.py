"""When the periods of a subscription begin: anchors, backdating, ends; and renewed cards."""

import pytest
import stripe

from tests.stripe_sandbox.conftest import DAY, START


async def order(shop, *names, **params):
    """Create a subscription of a customer with a card, on a clock at the first of January."""
    clock, customer = await shop.clocked_customer()
    method = await shop.api.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer})
    items = [{"price": shop.prices[name]} for name in names or ("monthly",)]
    created = await shop.api.v1.subscriptions.create_async(
        {"customer": customer, "items": items, "default_payment_method": method.id, **params}
    )
    return clock, created


async def totals(shop, subscription):
    return [invoice.total for invoice in await shop.invoices(subscription.id)]


async def test_the_time_before_a_later_anchor_is_prorated(shop):
    anchor = START + 10 * DAY
    clock, subscription = await order(shop, billing_cycle_anchor=anchor)
    [item] = subscription["items"].data
    assert (subscription.status, item.current_period_end) == ("active", anchor)
    assert await totals(shop, subscription) == [round(1000 * 10 / 31)]
    await shop.driver.advance_clock(clock, anchor + 2 * 3600)
    assert await totals(shop, subscription) == [323, 1000]


async def test_what_is_sold_once_is_charged_before_a_free_anchor_too(shop):
    _, subscription = await order(
        shop,
        billing_cycle_anchor=START + 10 * DAY,
        proration_behavior="none",
        add_invoice_items=[{"price": shop.prices["domain"]}],
    )
    assert await totals(shop, subscription) == [1299]


async def test_an_anchor_may_be_a_day_of_the_month(shop):
    config = {"day_of_month": 31, "hour": 12}
    clock, subscription = await order(shop, billing_cycle_anchor_config=config)
    noon = START + 30 * DAY + DAY // 2
    assert subscription.billing_cycle_anchor == noon
    assert subscription.billing_cycle_anchor_config.day_of_month == 31
    await shop.driver.advance_clock(clock, noon + 2 * 3600)
    [item] = (await shop.fetch(subscription.id))["items"].data
    assert item.current_period_end == noon + 28 * DAY


@pytest.mark.parametrize(
    ("told", "param"),
    [
        ({"day_of_month": 32}, "billing_cycle_anchor_config[day_of_month]"),
        ({"day_of_month": 1, "hour": 24}, "billing_cycle_anchor_config[hour]"),
    ],
)
async def test_a_day_that_is_none_is_refused(shop, told, param):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await order(shop, billing_cycle_anchor_config=told)
    assert refused.value.param == param


@pytest.mark.parametrize(("behavior", "extra"), [("create_prorations", 1500), ("none", 0)])
async def test_a_backdated_subscription_is_billed_from_its_start(shop, behavior, extra):
    start = START - 46 * DAY  # a month and half of another one, of 30 days
    _, subscription = await order(shop, backdate_start_date=start, proration_behavior=behavior)
    assert subscription.start_date == start
    [total] = await totals(shop, subscription)
    assert total - 1000 == pytest.approx(extra, abs=35)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await order(shop, backdate_start_date=START + DAY)
    assert refused.value.param == "backdate_start_date"


@pytest.mark.parametrize("cancel_at", ["min_period_end", "max_period_end"])
async def test_a_subscription_may_end_with_a_period_from_the_beginning(shop, cancel_at):
    _, subscription = await order(shop, cancel_at=cancel_at)
    [item] = subscription["items"].data
    assert subscription.cancel_at == item.current_period_end


async def test_the_network_may_renew_a_card(shop, driver):
    _, subscription = await order(shop)
    method = subscription.default_payment_method
    assert await driver.renew_card(method, exp_year=2040, number="5555555555554444") == "4444"
    renewed = await shop.api.v1.payment_methods.retrieve_async(method)
    assert (renewed.card.exp_year, renewed.card.brand) == (2040, "mastercard")
    await driver.wait_idle()
    told = shop.receiver.last("payment_method.automatically_updated")["data"]
    assert told["previous_attributes"]["card"]["exp_year"] == 2034
    await driver.renew_card(method, number="4000000000000341")
    with pytest.raises(stripe.CardError):
        await shop.api.v1.payment_intents.create_async(
            {
                "amount": 500,
                "currency": "usd",
                "customer": subscription.customer,
                "payment_method": method,
                "confirm": True,
            }
        )
