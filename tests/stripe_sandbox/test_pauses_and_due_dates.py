"""The pause endpoint, single items, and invoices that are sent to be paid until a date."""

import pytest
import stripe

from stripe_sandbox import Dunning, SandboxConfig, WebhookTarget
from tests.stripe_sandbox.calls import customer_with_card, refused, subscribe
from tests.stripe_sandbox.conftest import DAY, PENDING, SECRET, START

MIDDLE = START + 15 * DAY + DAY // 2
"""The middle of January."""


async def running(shop, **more):
    """Return a clock and a subscription with a card, in the middle of its first month."""
    clock, customer = await shop.clocked_customer()
    await shop.driver.replace_card(customer)
    subscription = await subscribe(shop, customer, **more)
    await shop.driver.advance_clock(clock, MIDDLE)
    return clock, subscription


@pytest.mark.parametrize(
    ("how", "credited"),
    [
        ({}, [-500]),
        ({"bill_for": {"unused_time_from": {"type": "item_current_period_start"}}}, [-1000]),
        ({"bill_for": {"unused_time_from": {"type": "none"}}}, []),
    ],
)
async def test_a_pause_ends_the_period_and_credits_what_is_left(shop, driver, how, credited):
    clock, subscription = await running(shop)
    paused = await shop.api.v1.subscriptions.pause_async(subscription.id, how)
    assert paused.status == "paused"
    details = paused.status_details.paused
    assert (details.subscription.type, details.transitioned_at) == ("pause_requested", MIDDLE)
    assert paused["items"].data[0].current_period_end == MIDDLE
    items = (await shop.api.v1.invoice_items.list_async({"pending": True})).data
    assert [item.amount for item in items] == credited
    await driver.advance_clock(clock, START + 70 * DAY)
    assert len(await shop.invoices(subscription.id)) == 1
    await driver.wait_idle()
    assert "customer.subscription.paused" in shop.receiver.types()


async def test_the_credit_of_a_pause_may_be_invoiced_at_once(shop):
    _, subscription = await running(shop)
    await shop.api.v1.subscriptions.pause_async(subscription.id, {"invoicing_behavior": "invoice"})
    assert [invoice.total for invoice in await shop.invoices(subscription.id)] == [1000, -500]
    assert (await shop.fetch(subscription.id)).status == "paused"


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"trial_period_days": 30}, "`trialing` status"),
        ({"billing_mode": {"type": "classic"}}, "classic billing mode"),
        ({"collection_method": "send_invoice", "days_until_due": 30}, "`send_invoice`"),
    ],
)
async def test_what_cannot_be_paused_is_refused(shop, terms, reason):
    _, subscription = await running(shop, **terms)
    with refused(reason):
        await shop.api.v1.subscriptions.pause_async(subscription.id)


async def test_a_schedule_and_a_pause_exclude_each_other(shop):
    v1 = shop.api.v1
    _, subscription = await running(shop)
    order = {"from_subscription": subscription.id}
    schedule = await v1.subscription_schedules.create_async(order)
    with refused("attached to the subscription schedule"):
        await v1.subscriptions.pause_async(subscription.id)
    await v1.subscription_schedules.release_async(schedule.id)
    await v1.subscriptions.pause_async(subscription.id)
    with refused("`paused`"):
        await v1.subscription_schedules.create_async(order)
    resumed = await v1.subscriptions.resume_async(subscription.id)
    assert resumed.status == "active"


class TestPauseAfterTheLastRetry:
    @pytest.fixture
    def config(self, receiver):
        target = WebhookTarget(receiver.url, SECRET)
        return SandboxConfig(webhooks=(target,), dunning=Dunning(retry_days=(3,), final="pause"))

    async def test_a_subscription_that_is_not_paid_is_paused(self, shop):
        clock, subscription = await running(shop)
        await shop.driver.replace_card(subscription.customer, "4000000000000341")
        await shop.driver.advance_clock(clock, START + 40 * DAY)
        paused = await shop.fetch(subscription.id)
        assert paused.status == "paused"
        assert paused.status_details.paused.subscription.type == "final_payment_failure"


async def test_items_are_added_changed_and_removed_one_by_one(shop):
    customer, _ = await customer_with_card(shop)
    subscription = await subscribe(shop, customer)
    items = shop.api.v1.subscription_items
    added = await items.create_async(
        {"subscription": subscription.id, "price": shop.prices["bigger"], "quantity": 2}
    )
    assert (added.price.id, added.quantity) == (shop.prices["bigger"], 2)
    changed = await items.update_async(
        added.id, {"quantity": 3, "metadata": {"a": "b"}, "proration_behavior": "none"}
    )
    assert (changed.quantity, changed.metadata.to_dict()) == (3, {"a": "b"})
    assert (await items.retrieve_async(added.id)).quantity == 3
    removed = await items.delete_async(added.id)
    assert removed.deleted
    left = await items.list_async({"subscription": subscription.id})
    assert [item.price.id for item in left.data] == [shop.prices["monthly"]]
    with refused("No such subscription_item"):
        await items.retrieve_async(added.id)


async def test_a_subscription_by_invoice_is_active_and_past_due_after_the_date(shop, driver):
    clock, customer = await shop.clocked_customer()
    subscription = await subscribe(
        shop, customer, collection_method="send_invoice", days_until_due=10
    )
    assert subscription.status == "active"
    await driver.advance_clock(clock, START + DAY)
    [invoice] = await shop.invoices(subscription.id)
    assert (invoice.status, invoice.attempt_count) == ("open", 0)
    assert invoice.due_date == START + 3600 + 10 * DAY
    await driver.advance_clock(clock, START + 11 * DAY)
    assert (await shop.fetch(subscription.id)).status == "past_due"
    await shop.api.v1.invoices.pay_async(invoice.id, {"paid_out_of_band": True})
    assert (await shop.fetch(subscription.id)).status == "active"
    await driver.wait_idle()
    told = [name for name in shop.receiver.types() if name.startswith("invoice.")]
    assert told == [
        "invoice.created",
        "invoice.finalized",
        "invoice.sent",
        "invoice.overdue",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]


async def test_an_invoice_by_hand_has_a_date_to_be_paid(shop):
    v1 = shop.api.v1
    customer, _ = await customer_with_card(shop)
    await v1.invoice_items.create_async({"customer": customer, "amount": 900, "currency": "usd"})
    by_invoice = {"customer": customer, "collection_method": "send_invoice", **PENDING}
    with refused("days_until_due"):
        await v1.invoices.create_async(by_invoice)
    draft = await v1.invoices.create_async({**by_invoice, "days_until_due": 14})
    sent = await v1.invoices.send_invoice_async(draft.id)
    assert (sent.status, sent.due_date - sent.status_transitions.finalized_at) == (
        "open",
        14 * DAY,
    )
    paid = await v1.invoices.pay_async(sent.id)
    assert (paid.status, paid.amount_paid) == ("paid", 900)
    with refused("`collection_method` is `send_invoice`"):
        await v1.invoices.create_async({"customer": customer, "days_until_due": 14})
    listed = await v1.invoices.list_async({"due_date": {"gt": sent.due_date}})
    assert listed.data == []


async def waiting_for_payment(shop, *, late):
    """Return a paused subscription that resumes once its open invoice is paid."""
    clock, subscription = await running(shop)
    await shop.api.v1.subscriptions.pause_async(subscription.id)
    await shop.driver.advance_clock(clock, START + 20 * DAY)
    if late:
        cards = await shop.api.v1.payment_methods.list_async({"customer": subscription.customer})
        await shop.api.v1.payment_methods.detach_async(cards.data[0].id)
    else:
        await shop.driver.replace_card(subscription.customer, "4000000000000341")
    asked = await shop.api.v1.subscriptions.resume_async(
        subscription.id, {"payment_behavior": "resume_on_payment_success"}
    )
    return clock, asked, str(asked.latest_invoice)


@pytest.mark.parametrize("how", ["paid", "declined", "uncollectible", "late"])
async def test_a_subscription_may_stay_paused_until_its_resumption_is_paid(shop, how):
    v1 = shop.api.v1
    clock, asked, invoice = await waiting_for_payment(shop, late=how == "late")
    assert (asked.status, (await v1.invoices.retrieve_async(invoice)).status) == ("paused", "open")
    if how == "declined":
        with pytest.raises(stripe.CardError):
            await v1.invoices.pay_async(invoice)
        await shop.driver.advance_clock(clock, START + 21 * DAY)
    elif how == "paid":
        await shop.driver.replace_card(asked.customer)
        await v1.invoices.pay_async(invoice)
    elif how == "uncollectible":
        await v1.invoices.mark_uncollectible_async(invoice)
    else:
        await shop.driver.advance_clock(clock, START + 21 * DAY)
    resumes = how in {"paid", "uncollectible"}
    after = await shop.fetch(asked.id)
    assert after.status == ("active" if resumes else "paused")
    status = {"declined": "open", "late": "void"}.get(how, how)
    assert (await v1.invoices.retrieve_async(invoice)).status == status
    start = after["items"].data[0].current_period_start
    assert (start == START + 20 * DAY) == resumes
    await shop.driver.wait_idle()
    assert ("customer.subscription.resumed" in shop.receiver.types()) == resumes


async def test_a_resumption_that_costs_nothing_does_not_wait(shop):
    _, subscription = await running(shop)
    await shop.api.v1.subscriptions.pause_async(subscription.id)
    resumed = await shop.api.v1.subscriptions.resume_async(
        subscription.id,
        {
            "payment_behavior": "resume_on_payment_success",
            "billing_cycle_anchor": {"type": "unchanged"},
        },
    )
    assert resumed.status == "active"
