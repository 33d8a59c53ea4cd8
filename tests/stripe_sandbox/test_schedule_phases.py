"""Phases with a trial, and with charges of their own."""

import pytest
import stripe

from tests.stripe_sandbox.conftest import DAY, START


async def schedule(shop, *phases):
    clock, customer = await shop.clocked_customer()
    method = await shop.api.v1.payment_methods.attach_async("pm_card_visa", {"customer": customer})
    made = await shop.api.v1.subscription_schedules.create_async(
        {
            "customer": customer,
            "start_date": "now",
            "phases": [
                {"items": [{"price": shop.prices["monthly"]}], "default_payment_method": method.id,
                 **phase}
                for phase in phases
            ],
        }
    )  # fmt: skip
    return clock, made


async def test_a_phase_may_begin_with_a_trial(shop):
    clock, made = await schedule(shop, {"trial_end": START + 10 * DAY}, {})
    assert made.phases[0].trial_end == START + 10 * DAY
    subscription = await shop.fetch(made.subscription)
    assert (subscription.status, subscription.trial_end) == ("trialing", START + 10 * DAY)
    await shop.driver.advance_clock(clock, START + 10 * DAY + 2 * 3600)
    assert (await shop.fetch(made.subscription)).status == "active"
    assert [one.total for one in await shop.invoices(made.subscription)] == [0, 1000]


async def test_a_phase_may_be_a_trial(shop):
    bigger = {"items": [{"price": shop.prices["bigger"]}]}
    clock, made = await schedule(shop, {"trial": True}, bigger)
    assert made.phases[0].trial_end == made.phases[0].end_date
    await shop.driver.advance_clock(clock, made.phases[0].end_date + 2 * 3600)
    subscription = await shop.fetch(made.subscription)
    assert subscription.status == "active"
    assert [one.total for one in await shop.invoices(made.subscription)] == [0, 3000]


async def test_a_phase_may_charge_once_when_it_begins(shop):
    once = {"add_invoice_items": [{"price": shop.prices["domain"], "quantity": 2}]}
    clock, made = await schedule(shop, once, {})
    assert made.phases[0].add_invoice_items[0].price == shop.prices["domain"]
    await shop.driver.advance_clock(clock, START + 33 * DAY)
    assert [one.total for one in await shop.invoices(made.subscription)] == [3598, 1000]


@pytest.mark.parametrize(
    ("phase", "param"),
    [
        ({"trial": True, "trial_end": START + DAY}, "phases[0]"),
        ({"trial_end": START + 90 * DAY}, "phases[0][trial_end]"),
    ],
)
async def test_a_trial_outside_its_phase_is_refused(shop, phase, param):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        await schedule(shop, phase)
    assert refused.value.param == param
