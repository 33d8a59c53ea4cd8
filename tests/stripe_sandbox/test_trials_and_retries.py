"""Trials ended by hand, and payments by hand while a subscription is past due."""

import pytest
import stripe

from stripe_sandbox import Dunning, SandboxConfig, WebhookTarget
from tests.stripe_sandbox.conftest import DAY, SECRET, START

HOUR = 3600
FEBRUARY = START + 31 * DAY


async def trial_without_card(shop, behavior):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}],
            "trial_period_days": 14,
            "trial_settings": {"end_behavior": {"missing_payment_method": behavior}},
        }
    )
    await shop.driver.advance_clock(clock, START + DAY)
    return customer, subscription


@pytest.mark.parametrize(
    ("behavior", "status", "event"),
    [
        ("pause", "paused", "customer.subscription.paused"),
        ("cancel", "canceled", "customer.subscription.deleted"),
        ("create_invoice", "past_due", "customer.subscription.updated"),
    ],
)
async def test_a_trial_without_a_card_ended_now_follows_its_settings(shop, behavior, status, event):
    _, subscription = await trial_without_card(shop, behavior)

    ended = await shop.api.v1.subscriptions.update_async(subscription.id, {"trial_end": "now"})

    assert (ended.status, ended.trial_end) == (status, START + DAY)
    charged = [i.total for i in await shop.invoices(subscription.id)]
    assert charged == ([0, 1000] if status == "past_due" else [0])
    await shop.driver.wait_idle()
    assert shop.receiver.last(event)["data"]["object"]["status"] == status


async def test_a_trial_with_a_card_ended_now_is_charged_whatever_its_settings(shop):
    customer, subscription = await trial_without_card(shop, "pause")
    await shop.driver.replace_card(customer)
    ended = await shop.api.v1.subscriptions.update_async(subscription.id, {"trial_end": "now"})
    assert ended.status == "active"
    assert [i.amount_paid for i in await shop.invoices(subscription.id)] == [0, 1000]


async def past_due(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)
    await shop.driver.replace_card(customer, "4000000000000341")
    await shop.driver.advance_clock(clock, FEBRUARY + HOUR)
    return clock, customer, subscription


@pytest.mark.parametrize("names_card", [False, True])
async def test_paying_by_hand_leaves_the_retry_schedule_alone(shop, names_card):
    clock, customer, subscription = await past_due(shop)
    invoice = (await shop.invoices(subscription.id))[-1]
    retry = invoice.next_payment_attempt
    card = (await shop.api.v1.customers.retrieve_async(customer)).invoice_settings
    params = {"payment_method": card.default_payment_method} if names_card else {}

    for _ in range(4):
        with pytest.raises(stripe.CardError):
            await shop.api.v1.invoices.pay_async(invoice.id, params)

    invoice = (await shop.invoices(subscription.id))[-1]
    assert (invoice.attempt_count, invoice.next_payment_attempt) == (1, retry)
    assert (await shop.fetch(subscription.id)).status == "past_due"
    await shop.driver.advance_clock(clock, retry)
    assert (await shop.invoices(subscription.id))[-1].attempt_count == 2


async def test_the_first_attempt_counts_even_by_hand(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)
    await shop.driver.replace_card(customer, "4000000000000341")
    await shop.driver.advance_clock(clock, FEBRUARY)
    draft = (await shop.invoices(subscription.id))[-1]
    with pytest.raises(stripe.CardError):
        await shop.api.v1.invoices.pay_async(draft.id)
    invoice = (await shop.invoices(subscription.id))[-1]
    assert (invoice.attempt_count, invoice.next_payment_attempt) == (1, FEBRUARY + 3 * DAY)
    assert (await shop.fetch(subscription.id)).status == "past_due"


class TestNoRetriesLeft:
    @pytest.fixture
    def config(self, receiver) -> SandboxConfig:
        target = WebhookTarget(receiver.url, SECRET)
        return SandboxConfig(webhooks=(target,), dunning=Dunning((1,), "past_due"))

    async def test_paying_by_hand_after_the_last_retry_changes_nothing(self, shop):
        clock, _, subscription = await past_due(shop)
        await shop.driver.advance_clock(clock, FEBRUARY + 2 * DAY)
        invoice = (await shop.invoices(subscription.id))[-1]
        assert (invoice.attempt_count, invoice.next_payment_attempt) == (2, None)
        with pytest.raises(stripe.CardError):
            await shop.api.v1.invoices.pay_async(invoice.id)
        assert (await shop.fetch(subscription.id)).status == "past_due"
        assert (await shop.invoices(subscription.id))[-1].attempt_count == 2


async def test_a_subscription_that_ended_with_its_period_still_says_so(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)
    update = shop.api.v1.subscriptions.update_async
    await update(subscription.id, {"cancel_at_period_end": True})
    await shop.driver.advance_clock(clock, FEBRUARY + DAY)
    ended = await shop.fetch(subscription.id)
    assert (ended.status, ended.cancel_at_period_end) == ("canceled", True)
    await shop.driver.wait_idle()
    deleted = shop.receiver.last("customer.subscription.deleted")["data"]["object"]
    assert deleted["cancel_at_period_end"] is True


@pytest.mark.parametrize(("said", "paid"), [({}, False), ({"off_session": False}, True)])
async def test_an_invoice_is_paid_off_session_unless_the_buyer_is_there(shop, said, paid):
    v1 = shop.api.v1
    _, customer = await shop.clocked_customer()
    card = await v1.payment_methods.attach_async(
        "pm_card_authenticationRequired", {"customer": customer}
    )
    made = await v1.invoices.create_async({"customer": customer, "currency": "usd"})
    await v1.invoices.add_lines_async(made.id, {"lines": [{"amount": 900}]})
    given = {"payment_method": card.id, **said}
    if paid:
        assert (await v1.invoices.pay_async(made.id, given)).status == "paid"
        return
    with pytest.raises(stripe.CardError) as declined:
        await v1.invoices.pay_async(made.id, given)
    assert declined.value.code == "invoice_payment_intent_requires_action"
    await shop.driver.wait_idle()
    told = shop.receiver.last("invoice.payment_action_required")
    assert told["data"]["object"]["id"] == made.id
