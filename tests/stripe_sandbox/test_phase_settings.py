"""Settings of phases and of their schedule, and how a subscription may be paid."""

import pytest

from stripe_sandbox import Choices
from tests.stripe_sandbox.calls import add_default_card, customer_with_card, refused, subscribe
from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.test_automatic_tax import GERMANY, register, taxed_price

FEBRUARY = START + 31 * DAY
ON, OFF = ({"automatic_tax": {"enabled": enabled}} for enabled in (True, False))
SENT = {"collection_method": "send_invoice", "invoice_settings": {"days_until_due": 7}}


async def buyer(shop):
    clock, customer = await shop.clocked_customer()
    await shop.api.v1.customers.update_async(customer, {"address": GERMANY})
    await add_default_card(shop, customer)
    return clock, customer


async def schedule(shop, customer, *phases, **more):
    order = {"customer": customer, "start_date": "now", "phases": list(phases), **more}
    return await shop.api.v1.subscription_schedules.create_async(order)


async def test_a_phase_turns_automatic_tax_on_and_the_next_one_off(shop):
    await register(shop, "DE")
    price = await taxed_price(shop)
    clock, customer = await buyer(shop)
    items = {"items": [{"price": price.id}], "duration": {"interval": "month"}}
    made = await schedule(shop, customer, {**items, **ON}, {**items, **OFF})
    assert made.phases[0].automatic_tax.enabled
    await shop.driver.advance_clock(clock, FEBRUARY + DAY)
    invoices = await shop.invoices(made.subscription)
    assert [invoice.total for invoice in invoices] == [1190, 1000]
    assert not (await shop.fetch(made.subscription)).automatic_tax.enabled


async def test_what_a_phase_does_not_say_the_schedule_does(shop):
    await register(shop, "DE")
    price = await taxed_price(shop)
    _, customer = await buyer(shop)
    phase = {"items": [{"price": price.id}], "duration": {"interval": "month"}}
    made = await schedule(shop, customer, phase, default_settings={**ON, "description": "Plan"})
    running = await shop.fetch(made.subscription)
    assert (running.automatic_tax.enabled, running.description) == (True, "Plan")
    changed = await shop.api.v1.subscription_schedules.update_async(
        made.id, {"default_settings": {**OFF, **SENT}}
    )
    assert changed.default_settings.description == "Plan"
    running = await shop.fetch(made.subscription)
    assert (running.automatic_tax.enabled, running.collection_method, running.days_until_due) == (
        False,
        "send_invoice",
        7,
    )


@pytest.mark.parametrize(("told", "total"), [({}, 500), ({"discounts": ""}, 1000)])
async def test_a_phase_has_its_customers_discount_unless_it_is_emptied(shop, told, total):
    _, customer = await buyer(shop)
    await shop.api.v1.coupons.create_async({"id": "HALF", "percent_off": 50})
    await shop.api.raw_request_async("post", f"/v1/customers/{customer}", coupon="HALF")
    made = await schedule(shop, customer, {"items": [{"price": shop.prices["monthly"]}], **told})
    [invoice] = await shop.invoices(made.subscription)
    assert invoice.total == total


async def test_settings_that_do_not_go_together_are_refused(shop):
    _, customer = await buyer(shop)
    phase = {"items": [{"price": shop.prices["monthly"]}]}
    with refused("you must specify `days_until_due`"):
        await schedule(shop, customer, {**phase, "collection_method": "send_invoice"})
    with refused("does not have a `tax_behavior`"):
        await schedule(shop, customer, {**phase, **ON})
    vat = await shop.api.v1.tax_rates.create_async(
        {"display_name": "VAT", "percentage": 20, "inclusive": False}
    )
    with refused("together with automatic tax"):
        await schedule(shop, customer, {**phase, **ON, "default_tax_rates": [vat.id]})
    with refused("does not support end_behavior=renew"):
        await schedule(shop, customer, phase, end_behavior="renew")


async def later_method(shop):
    """Return which card a subscription has after a phase without one, and the two it had."""
    clock, customer = await shop.clocked_customer()
    first = await shop.driver.replace_card(customer)
    subscription = await subscribe(shop, customer, default_payment_method=first)
    planned = await shop.api.v1.subscription_schedules.create_async(
        {"from_subscription": subscription.id}
    )
    second = (await shop.api.v1.payment_methods.attach_async(
        "pm_card_amex", {"customer": customer})).id  # fmt: skip
    await shop.api.v1.subscriptions.update_async(
        subscription.id, {"default_payment_method": second}
    )
    items = [{"price": shop.prices["bigger"]}]
    now = planned.phases[0]
    phases = [
        {"items": [{"price": shop.prices["monthly"]}], "start_date": now.start_date,
         "end_date": now.end_date},
        {"items": items, "duration": {"interval": "month"}},
    ]  # fmt: skip
    await shop.api.v1.subscription_schedules.update_async(planned.id, {"phases": phases})
    await shop.driver.advance_clock(clock, FEBRUARY + DAY)
    return (await shop.fetch(subscription.id)).default_payment_method, first, second


async def test_a_subscription_keeps_the_payment_method_that_it_has(shop):
    method, _, second = await later_method(shop)
    assert method == second


class TestDefaultsOfTheSchedule:
    @pytest.fixture
    def config(self, config):
        return type(config)(webhooks=config.webhooks, seed=1,
                            choices=Choices(phase_defaults="schedule"))  # fmt: skip

    async def test_a_phase_may_take_the_payment_method_of_its_schedule(self, shop):
        method, first, _ = await later_method(shop)
        assert method == first


async def test_an_invoice_takes_the_payment_methods_that_its_subscription_does(shop):
    customer, card = await customer_with_card(shop)
    settings = {
        "payment_method_types": ["us_bank_account"],
        "payment_method_options": {"card": {"request_three_d_secure": "any"}},
    }
    made = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}],
            "payment_settings": settings,
            "payment_behavior": "default_incomplete",
            "expand": ["latest_invoice.payments"],
        }
    )
    invoice = made.latest_invoice
    assert invoice.payment_settings.payment_method_types == ["us_bank_account"]
    intent_id = invoice.payments.data[0].payment.payment_intent
    intent = await shop.api.v1.payment_intents.retrieve_async(intent_id)
    assert intent.payment_method_types == ["us_bank_account"]
    assert intent.payment_method_options.card.request_three_d_secure == "any"
    with refused("is not allowed for this PaymentIntent"):
        await shop.api.v1.payment_intents.confirm_async(intent_id, {"payment_method": card})
    await shop.api.v1.subscriptions.update_async(
        made.id, {"payment_settings": {"payment_method_types": ["card", "us_bank_account"]}}
    )
    kept = (await shop.fetch(made.id)).payment_settings
    assert kept.payment_method_types == ["card", "us_bank_account"]
