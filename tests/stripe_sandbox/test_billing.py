"""What time does to subscriptions, on test clocks."""

import pytest
import stripe

from stripe_sandbox import Dunning, SandboxConfig, WebhookTarget
from tests.stripe_sandbox.calls import add_default_card
from tests.stripe_sandbox.conftest import DAY, SECRET, START

HOUR = 3600
FEBRUARY = START + 31 * DAY
MARCH = START + 59 * DAY


async def test_a_subscription_renews_on_the_day_of_its_beginning(shop):
    clock, customer = await shop.clocked_customer(at=START + 30 * DAY)  # 31 January
    subscription = await shop.buy(customer=customer)
    first = subscription.items.data[0]
    assert first.current_period_end == START + 58 * DAY  # 28 February

    await shop.driver.advance_clock(clock, START + 95 * DAY)

    item = (await shop.fetch(subscription.id)).items.data[0]
    assert item.current_period_start == START + 89 * DAY  # 31 March
    assert item.current_period_end == START + 119 * DAY  # 30 April
    invoices = await shop.invoices(subscription.id)
    assert [i.status for i in invoices] == ["paid"] * 3
    assert [i.billing_reason for i in invoices] == [
        "subscription_create",
        "subscription_cycle",
        "subscription_cycle",
    ]
    assert invoices[1].lines.data[0].period.start == START + 58 * DAY
    assert invoices[1].period_start == START + 30 * DAY


async def test_a_renewal_invoice_is_a_draft_for_an_hour(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)

    await shop.driver.advance_clock(clock, FEBRUARY)
    assert (await shop.invoices(subscription.id))[1].status == "draft"
    await shop.driver.advance_clock(clock, FEBRUARY + HOUR)

    assert (await shop.invoices(subscription.id))[1].status == "paid"
    await shop.driver.wait_idle()
    updated = shop.receiver.last("customer.subscription.updated")
    assert {"items", "latest_invoice"} <= updated["data"]["previous_attributes"].keys()
    assert updated["created"] == FEBRUARY


async def test_a_renewal_is_announced_a_week_before(shop):
    clock, customer = await shop.clocked_customer()
    await shop.buy(customer=customer)
    await shop.driver.advance_clock(clock, FEBRUARY - 6 * DAY)
    await shop.driver.wait_idle()
    upcoming = shop.receiver.last("invoice.upcoming")
    assert upcoming["created"] == FEBRUARY - 7 * DAY
    assert upcoming["data"]["object"]["amount_due"] == 1000
    assert shop.receiver.types().count("invoice.upcoming") == 1


async def test_the_end_of_a_trial_charges_the_term_and_what_waited_for_it(shop):
    clock, customer = await shop.clocked_customer()
    trial = {"trial_period_days": 14}
    subscription = await shop.buy(customer=customer, subscription_data=trial)
    item = await shop.api.v1.invoice_items.create_async(
        {
            "customer": customer,
            "subscription": subscription.id,
            "pricing": {"price": shop.prices["domain"]},
        }
    )

    await shop.driver.advance_clock(clock, START + 14 * DAY + HOUR)

    assert (await shop.fetch(subscription.id)).status == "active"
    first, second = await shop.invoices(subscription.id)
    assert (first.total, second.total, second.status) == (0, 2299, "paid")
    domain = second.lines.data[0]
    assert domain.parent.invoice_item_details.invoice_item == item.id
    assert domain.pricing.price_details.price == shop.prices["domain"]
    await shop.driver.wait_idle()
    notice = shop.receiver.last("customer.subscription.trial_will_end")
    assert notice["created"] == START + 11 * DAY


@pytest.mark.parametrize(
    ("behavior", "status"), [("cancel", "canceled"), ("pause", "paused"), (None, "past_due")]
)
async def test_a_trial_without_a_card_ends_as_its_settings_say(shop, behavior, status):
    clock, customer = await shop.clocked_customer()
    data = {"trial_period_days": 14}
    if behavior:
        data["trial_settings"] = {"end_behavior": {"missing_payment_method": behavior}}
    subscription = await shop.api.v1.subscriptions.create_async(
        {"customer": customer, "items": [{"price": shop.prices["monthly"]}], **data}
    )
    assert subscription.status == "trialing"

    await shop.driver.advance_clock(clock, START + 14 * DAY + HOUR)

    assert (await shop.fetch(subscription.id)).status == status


async def test_a_paused_subscription_resumes_with_a_new_period(shop):
    clock, customer = await shop.clocked_customer()
    settings = {"end_behavior": {"missing_payment_method": "pause"}}
    subscription = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}],
            "trial_period_days": 14,
            "trial_settings": settings,
        }
    )
    await shop.driver.advance_clock(clock, START + 20 * DAY)
    await shop.driver.replace_card(customer)

    resumed = await shop.api.v1.subscriptions.resume_async(subscription.id)

    assert (resumed.status, resumed.status_details) == ("active", None)
    assert resumed.items.data[0].current_period_start == START + 20 * DAY
    assert (await shop.invoices(subscription.id))[-1].amount_paid == 1000
    await shop.driver.wait_idle()
    assert "customer.subscription.paused" in shop.receiver.types()
    assert "customer.subscription.resumed" in shop.receiver.types()


async def test_a_paused_subscription_can_still_be_set_to_end(shop):
    clock, customer = await shop.clocked_customer()
    settings = {"end_behavior": {"missing_payment_method": "pause"}}
    subscription = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}],
            "trial_period_days": 14,
            "trial_settings": settings,
        }
    )
    await shop.driver.advance_clock(clock, START + 20 * DAY)
    await shop.api.v1.subscriptions.update_async(subscription.id, {"cancel_at": START + 40 * DAY})
    await shop.driver.advance_clock(clock, START + 41 * DAY)
    assert (await shop.fetch(subscription.id)).status == "canceled"


async def test_a_card_that_fails_is_tried_again_and_then_the_subscription_ends(shop):
    clock, customer = await shop.clocked_customer()
    trial = {"trial_period_days": 14}
    subscription = await shop.buy(
        customer=customer, subscription_data=trial, card="4000000000000341"
    )
    due = START + 14 * DAY + HOUR

    await shop.driver.advance_clock(clock, due)
    invoice = (await shop.invoices(subscription.id))[1]
    assert (invoice.status, invoice.attempt_count) == ("open", 1)
    assert invoice.next_payment_attempt == due + 3 * DAY
    assert (await shop.fetch(subscription.id)).status == "past_due"
    assert (await shop.api.v1.customers.retrieve_async(customer)).delinquent is True

    await shop.driver.advance_clock(clock, due + 9 * DAY)
    assert (await shop.invoices(subscription.id))[1].attempt_count == 3
    await shop.driver.advance_clock(clock, due + 15 * DAY)

    ended = await shop.fetch(subscription.id)
    assert (ended.status, ended.cancellation_details.reason) == ("canceled", "payment_failed")
    invoice = (await shop.invoices(subscription.id))[1]
    assert (invoice.status, invoice.attempt_count, invoice.auto_advance) == ("open", 4, False)
    await shop.driver.wait_idle()
    failed = shop.receiver.last("invoice.payment_failed")["data"]["object"]
    assert failed["next_payment_attempt"] is None


async def test_a_new_card_pays_at_the_next_attempt(shop):
    clock, customer = await shop.clocked_customer()
    trial = {"trial_period_days": 14}
    subscription = await shop.buy(
        customer=customer, subscription_data=trial, card="4000000000000341"
    )
    due = START + 14 * DAY + HOUR
    await shop.driver.advance_clock(clock, due)
    await shop.driver.replace_card(customer)

    await shop.driver.advance_clock(clock, due + 3 * DAY)

    assert (await shop.fetch(subscription.id)).status == "active"
    assert (await shop.api.v1.customers.retrieve_async(customer)).delinquent is False


async def test_a_card_that_needs_authentication_fails_at_the_renewal(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)
    await shop.driver.replace_card(customer, "4000002760003184")

    await shop.driver.advance_clock(clock, FEBRUARY + HOUR)

    assert (await shop.fetch(subscription.id)).status == "past_due"
    await shop.driver.wait_idle()
    assert "invoice.payment_action_required" in shop.receiver.types()


class TestUnpaid:
    @pytest.fixture
    def config(self, receiver) -> SandboxConfig:
        target = WebhookTarget(receiver.url, SECRET)
        return SandboxConfig(webhooks=(target,), dunning=Dunning((1,), "unpaid"))

    async def test_the_last_failure_may_leave_the_subscription_unpaid(self, shop):
        clock, customer = await shop.clocked_customer()
        subscription = await shop.buy(customer=customer)
        await shop.driver.replace_card(customer, "4000000000000341")
        await shop.driver.advance_clock(clock, FEBRUARY + 2 * DAY)
        assert (await shop.fetch(subscription.id)).status == "unpaid"

        await shop.driver.advance_clock(clock, MARCH + DAY)
        latest = (await shop.invoices(subscription.id))[-1]
        assert (latest.status, latest.auto_advance) == ("draft", False)

        await shop.driver.replace_card(customer)
        await shop.api.v1.invoices.pay_async(latest.id)
        assert (await shop.fetch(subscription.id)).status == "active"


async def test_cancelling_at_the_end_of_the_period_ends_it_there(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)

    ending = await shop.api.v1.subscriptions.update_async(
        subscription.id, {"cancel_at_period_end": True}
    )
    assert ending.cancel_at == FEBRUARY
    assert (ending.canceled_at, ending.status) == (START, "active")
    await shop.driver.advance_clock(clock, FEBRUARY + DAY)

    ended = await shop.fetch(subscription.id)
    assert (ended.status, ended.ended_at) == ("canceled", FEBRUARY)
    assert len(await shop.invoices(subscription.id)) == 1
    await shop.driver.wait_idle()
    deleted = shop.receiver.last("customer.subscription.deleted")
    assert deleted["data"]["object"]["status"] == "canceled"


async def test_a_cancellation_can_be_undone_in_time(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)
    update = shop.api.v1.subscriptions.update_async
    await update(subscription.id, {"cancel_at_period_end": True})

    kept = await update(subscription.id, {"cancel_at_period_end": False})

    assert (kept.cancel_at, kept.canceled_at) == (None, None)
    await shop.driver.advance_clock(clock, FEBRUARY + DAY)
    assert (await shop.fetch(subscription.id)).status == "active"


async def test_a_subscription_ends_at_its_cancel_at(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)
    await shop.api.v1.subscriptions.update_async(subscription.id, {"cancel_at": START + 10 * DAY})
    await shop.driver.advance_clock(clock, START + 11 * DAY)
    assert (await shop.fetch(subscription.id)).ended_at == START + 10 * DAY


async def test_a_pending_item_outlives_a_cancelled_trial_and_is_still_billed(shop):
    clock, customer = await shop.clocked_customer()
    trial = {"trial_period_days": 14}
    subscription = await shop.buy(customer=customer, subscription_data=trial)
    await shop.api.v1.invoice_items.create_async(
        {
            "customer": customer,
            "subscription": subscription.id,
            "amount": 1299,
            "currency": "usd",
            "description": "example.com",
        }
    )
    canceled = await shop.api.v1.subscriptions.cancel_async(subscription.id)
    assert canceled.status == "canceled"

    await shop.driver.advance_clock(clock, START + 14 * DAY + HOUR)

    latest = (await shop.invoices(subscription.id))[-1]
    assert (latest.total, latest.status) == (1299, "paid")


async def test_a_deleted_pending_item_is_not_billed(shop):
    clock, customer = await shop.clocked_customer()
    trial = {"trial_period_days": 14}
    subscription = await shop.buy(customer=customer, subscription_data=trial)
    item = await shop.api.v1.invoice_items.create_async(
        {"customer": customer, "subscription": subscription.id, "amount": 5, "currency": "usd"}
    )
    await shop.api.v1.subscriptions.cancel_async(subscription.id)
    await shop.api.v1.invoice_items.delete_async(item.id)
    await shop.driver.advance_clock(clock, START + 20 * DAY)
    assert len(await shop.invoices(subscription.id)) == 1


async def test_an_item_without_a_subscription_goes_onto_the_customers_next_invoice(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)
    await shop.api.v1.invoice_items.create_async(
        {"customer": customer, "amount": 250, "currency": "usd", "description": "Work"}
    )
    await shop.driver.advance_clock(clock, FEBRUARY + HOUR)
    assert (await shop.invoices(subscription.id))[-1].total == 1250


@pytest.mark.parametrize(
    ("duration", "totals"),
    [
        ({"duration": "once"}, [900, 1000, 1000]),
        ({"duration": "repeating", "duration_in_months": 2}, [900, 900, 1000]),
        ({"duration": "forever"}, [900, 900, 900]),
    ],
)
async def test_a_coupon_lasts_as_long_as_it_says(shop, duration, totals):
    await shop.api.v1.coupons.create_async({"id": "TEN", "percent_off": 10, **duration})
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer, discounts=[{"coupon": "TEN"}])
    await shop.driver.advance_clock(clock, MARCH + HOUR)
    assert [i.total for i in await shop.invoices(subscription.id)] == totals


async def test_a_coupon_reduces_what_waited_for_the_invoice_too(shop):
    coupon = {"id": "TEN", "percent_off": 10, "duration": "forever"}
    await shop.api.v1.coupons.create_async(coupon)
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer, discounts=[{"coupon": "TEN"}])
    await shop.api.v1.invoice_items.create_async(
        {"customer": customer, "amount": 500, "currency": "usd", "description": "Work"}
    )
    await shop.driver.advance_clock(clock, FEBRUARY + HOUR)
    assert (await shop.invoices(subscription.id))[-1].total == 1350


async def test_a_coupon_added_in_a_trial_reduces_the_first_paid_invoice(shop):
    await shop.api.v1.coupons.create_async({"id": "TEN", "percent_off": 10, "duration": "once"})
    clock, customer = await shop.clocked_customer()
    trial = {"trial_period_days": 14}
    subscription = await shop.buy(customer=customer, subscription_data=trial)
    changed = await shop.api.v1.subscriptions.update_async(
        subscription.id, {"discounts": [{"coupon": "TEN"}], "expand": ["discounts"]}
    )
    assert changed.discounts[0].source.coupon == "TEN"

    await shop.driver.advance_clock(clock, START + 14 * DAY + HOUR)

    assert (await shop.invoices(subscription.id))[-1].total == 900
    assert (await shop.fetch(subscription.id)).discounts == []


async def test_an_upgrade_is_prorated_onto_the_next_invoice(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)
    await shop.driver.advance_clock(clock, START + 31 * DAY // 2)

    item = subscription.items.data[0]
    changed = await shop.api.v1.subscriptions.update_async(
        subscription.id, {"items": [{"id": item.id, "price": shop.prices["bigger"]}]}
    )
    assert changed.items.data[0].price.id == shop.prices["bigger"]
    waiting = await shop.api.v1.invoice_items.list_async({"customer": customer, "pending": True})
    assert sorted(one.amount for one in waiting.data) == [-500, 1500]
    await shop.driver.advance_clock(clock, FEBRUARY + HOUR)

    assert (await shop.invoices(subscription.id))[-1].total == 4000


async def test_an_upgrade_can_be_billed_at_once(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)
    await shop.driver.advance_clock(clock, START + 31 * DAY // 2)
    changed = await shop.api.v1.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": subscription.items.data[0].id, "price": shop.prices["bigger"]}],
            "proration_behavior": "always_invoice",
        },
    )
    latest = (await shop.invoices(subscription.id))[-1]
    assert (latest.billing_reason, latest.total, latest.status) == (
        "subscription_update",
        1000,
        "paid",
    )
    assert changed.latest_invoice == latest.id


async def test_moving_to_another_interval_begins_a_new_period(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)
    middle = START + 31 * DAY // 2
    await shop.driver.advance_clock(clock, middle)
    changed = await shop.api.v1.subscriptions.update_async(
        subscription.id,
        {"items": [{"id": subscription.items.data[0].id, "price": shop.prices["yearly"]}]},
    )
    item = changed.items.data[0]
    assert (item.current_period_start, item.current_period_end) == (middle, middle + 365 * DAY)
    assert (await shop.invoices(subscription.id))[-1].total == 9500


async def test_a_downgrade_leaves_credit_for_the_next_invoice(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy("bigger", customer=customer)
    await shop.driver.advance_clock(clock, START + 31 * DAY // 2)
    await shop.api.v1.subscriptions.update_async(
        subscription.id,
        {
            "items": [{"id": subscription.items.data[0].id, "price": shop.prices["monthly"]}],
            "proration_behavior": "always_invoice",
        },
    )
    assert (await shop.api.v1.customers.retrieve_async(customer)).balance == -1000
    await shop.driver.advance_clock(clock, FEBRUARY + HOUR)
    latest = (await shop.invoices(subscription.id))[-1]
    assert (latest.total, latest.amount_due, latest.status) == (1000, 0, "paid")
    assert (await shop.api.v1.customers.retrieve_async(customer)).balance == 0


async def test_items_can_be_added_and_removed_but_never_all(shop):
    subscription = await shop.buy()
    update = shop.api.v1.subscriptions.update_async
    added = await update(
        subscription.id,
        {"items": [{"price": shop.prices["bigger"]}], "proration_behavior": "none"},
    )
    assert [item.price.id for item in added.items.data] == [
        shop.prices["monthly"],
        shop.prices["bigger"],
    ]
    first, second = (item.id for item in added.items.data)
    left = await update(subscription.id, {"items": [{"id": first, "deleted": True}]})
    assert [item.id for item in left.items.data] == [second]
    with pytest.raises(stripe.InvalidRequestError, match="at least one active plan"):
        await update(subscription.id, {"items": [{"id": second, "deleted": True}]})


async def test_ending_a_trial_now_charges_now(shop):
    clock, customer = await shop.clocked_customer()
    trial = {"trial_period_days": 14}
    subscription = await shop.buy(customer=customer, subscription_data=trial)
    await shop.driver.advance_clock(clock, START + 5 * DAY)

    ended = await shop.api.v1.subscriptions.update_async(subscription.id, {"trial_end": "now"})

    assert (ended.status, ended.trial_end) == ("active", START + 5 * DAY)
    assert (await shop.invoices(subscription.id))[-1].amount_paid == 1000


async def test_a_trial_can_be_extended(shop):
    clock, customer = await shop.clocked_customer()
    trial = {"trial_period_days": 14}
    subscription = await shop.buy(customer=customer, subscription_data=trial)
    later = START + 20 * DAY
    extended = await shop.api.v1.subscriptions.update_async(subscription.id, {"trial_end": later})
    assert extended.items.data[0].current_period_end == later
    await shop.driver.advance_clock(clock, START + 15 * DAY)
    assert (await shop.fetch(subscription.id)).status == "trialing"


@pytest.mark.parametrize(
    ("behavior", "status"),
    [("keep_as_draft", "draft"), ("mark_uncollectible", "uncollectible"), ("void", "void")],
)
async def test_a_paused_collection_charges_nothing(shop, behavior, status):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)
    await shop.api.v1.subscriptions.update_async(
        subscription.id,
        {"pause_collection": {"behavior": behavior, "resumes_at": START + 40 * DAY}},
    )

    await shop.driver.advance_clock(clock, FEBRUARY + HOUR)
    assert (await shop.invoices(subscription.id))[-1].status == status
    assert (await shop.fetch(subscription.id)).status == "active"

    await shop.driver.advance_clock(clock, MARCH + HOUR)
    assert (await shop.fetch(subscription.id)).pause_collection is None
    assert (await shop.invoices(subscription.id))[-1].status == "paid"


async def test_terms_of_several_intervals_renew_each_in_its_time(shop):
    clock, customer = await shop.clocked_customer()
    await shop.driver.replace_card(customer)
    subscription = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}, {"price": shop.prices["yearly"]}],
        }
    )
    assert (await shop.invoices(subscription.id))[0].total == 11000
    await shop.driver.advance_clock(clock, FEBRUARY + HOUR)
    assert (await shop.invoices(subscription.id))[-1].total == 1000


async def test_a_year_of_renewals_passes_in_one_step(shop):
    clock, customer = await shop.clocked_customer()
    subscription = await shop.buy(customer=customer)
    await shop.driver.advance_clock(clock, START + 365 * DAY + HOUR)
    assert [i.amount_paid for i in await shop.invoices(subscription.id)] == [1000] * 13


@pytest.mark.parametrize(
    ("behavior", "sums"), [("create_prorations", []), ("always_invoice", [516]), ("none", [])]
)
async def test_a_paused_subscription_resumes_in_the_period_that_surrounds_now(shop, behavior, sums):
    clock, customer = await shop.clocked_customer()
    await add_default_card(shop, customer)
    settings = {"end_behavior": {"missing_payment_method": "pause"}}
    bought = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}],
            "trial_period_days": 10,
            "trial_settings": settings,
        }
    )
    await shop.api.v1.customers.update_async(
        customer, {"invoice_settings": {"default_payment_method": ""}}
    )
    await shop.driver.advance_clock(clock, START + 25 * DAY)
    assert (await shop.fetch(bought.id)).status == "paused"
    await add_default_card(shop, customer)
    resumed = await shop.api.v1.subscriptions.resume_async(
        bought.id,
        {"billing_cycle_anchor": {"type": "unchanged"}, "proration_behavior": behavior},
    )
    item = resumed.items.data[0]
    assert (item.current_period_start, item.current_period_end) == (
        START + 10 * DAY,
        START + 41 * DAY,
    )
    assert resumed.billing_cycle_anchor == START + 10 * DAY
    waiting = (await shop.api.v1.invoice_items.list_async({"pending": True})).data
    assert [i.amount for i in waiting] == ([516] if behavior == "create_prorations" else [])
    assert [i.total for i in await shop.invoices(bought.id)] == [0, *sums]


async def test_resuming_with_a_declined_card_leaves_the_subscription_past_due(shop):
    clock, customer = await shop.clocked_customer()
    paused = await shop.api.v1.subscriptions.create_async(
        {
            "customer": customer,
            "items": [{"price": shop.prices["monthly"]}],
            "trial_period_days": 2,
            "trial_settings": {"end_behavior": {"missing_payment_method": "pause"}},
        }
    )
    await shop.driver.advance_clock(clock, START + 3 * DAY)
    await shop.driver.replace_card(customer, "4000000000000341")
    resumed = await shop.api.v1.subscriptions.resume_async(paused.id)
    assert resumed.status == "past_due"


async def test_a_payment_saves_its_card_on_the_subscription_if_told(shop):
    _, customer = await shop.clocked_customer()
    await add_default_card(shop, customer)
    other = await shop.api.v1.payment_methods.attach_async("pm_card_amex", {"customer": customer})
    for setting, saved in (("off", None), ("on_subscription", other.id)):
        bought = await shop.api.v1.subscriptions.create_async(
            {
                "customer": customer,
                "items": [{"price": shop.prices["monthly"]}],
                "payment_behavior": "default_incomplete",
                "payment_settings": {"save_default_payment_method": setting},
            }
        )
        await shop.api.v1.invoices.pay_async(bought.latest_invoice, {"payment_method": other.id})
        paid = await shop.fetch(bought.id)
        assert (paid.status, paid.default_payment_method) == ("active", saved)
