"""Subscription schedules: they change a subscription in phases, and own what they set."""

import pytest
import stripe

from stripe_sandbox import Choices, SandboxConfig, WebhookTarget
from tests.stripe_sandbox.calls import refused, subscribe
from tests.stripe_sandbox.conftest import DAY, SECRET, START, Shop

MANAGED = (
    "The subscription is managed by the subscription schedule `{}`, and updating any cancelation "
    "behavior directly is not allowed. Please update the schedule instead."
)
FEBRUARY = START + 31 * DAY
MARCH = FEBRUARY + 28 * DAY


async def scheduled(shop: Shop) -> tuple[str, stripe.Subscription, stripe.SubscriptionSchedule]:
    """Return a clock, a subscription of its customer, and a schedule made from it."""
    clock, customer = await shop.clocked_customer()
    await shop.driver.replace_card(customer)
    subscription = await subscribe(shop, customer)
    schedule = await shop.api.v1.subscription_schedules.create_async(
        {"from_subscription": subscription.id}
    )
    return clock, subscription, schedule


async def plan_bigger(shop: Shop, schedule: stripe.SubscriptionSchedule, **more):
    """Let the schedule move to the bigger price in February, for a month."""
    current = schedule.phases[0]
    phases = [
        {
            "start_date": current.start_date,
            "end_date": current.end_date,
            "items": [{"price": shop.prices["monthly"], "quantity": 1}],
        },
        {
            "items": [{"price": shop.prices["bigger"], "quantity": 2}],
            "duration": {"interval": "month"},
        },
    ]
    return await shop.api.v1.subscription_schedules.update_async(
        schedule.id, {"phases": phases, **more}
    )


async def test_a_schedule_is_made_from_a_subscription_and_named_by_it(shop, driver):
    _, subscription, schedule = await scheduled(shop)
    assert (schedule.status, schedule.end_behavior) == ("active", "release")
    assert schedule.subscription == subscription.id
    [phase] = schedule.phases
    assert (phase.start_date, phase.end_date) == (START, FEBRUARY)
    assert [(item.price, item.quantity) for item in phase["items"]] == [(shop.prices["monthly"], 1)]
    assert (await shop.fetch(subscription.id)).schedule == schedule.id
    await driver.wait_idle()
    assert shop.receiver.types()[-2:] == [
        "subscription_schedule.created",
        "customer.subscription.updated",
    ]
    page = await shop.api.v1.subscription_schedules.list_async({"customer": subscription.customer})
    assert [found.id for found in page.data] == [schedule.id]
    for filters in ({"scheduled": True}, {"released_at": {"gt": 0}}, {"customer": "cus_other"}):
        assert (await shop.api.v1.subscription_schedules.list_async(filters)).data == []


async def test_a_phase_begins_before_its_term_is_billed(shop, driver):
    clock, subscription, schedule = await scheduled(shop)
    await plan_bigger(shop, schedule)
    await driver.advance_clock(clock, FEBRUARY + DAY)
    [item] = (await shop.fetch(subscription.id))["items"].data
    assert (item.price.id, item.quantity) == (shop.prices["bigger"], 2)
    assert [invoice.total for invoice in await shop.invoices(subscription.id)] == [1000, 6000]
    current = await shop.api.v1.subscription_schedules.retrieve_async(schedule.id)
    assert (current.current_phase.start_date, current.current_phase.end_date) == (FEBRUARY, MARCH)


async def test_after_its_last_phase_a_schedule_releases_the_subscription(shop, driver):
    clock, subscription, schedule = await scheduled(shop)
    await plan_bigger(shop, schedule)
    await driver.advance_clock(clock, MARCH + DAY)
    after = await shop.api.v1.subscription_schedules.retrieve_async(schedule.id)
    assert (after.status, after.subscription) == ("released", None)
    assert (after.released_subscription, after.released_at) == (subscription.id, MARCH)
    found = await shop.fetch(subscription.id)
    assert (found.schedule, found.status) == (None, "active")
    await driver.wait_idle()
    assert shop.receiver.last("subscription_schedule.released")["data"]["object"]["id"] == after.id


async def test_a_schedule_may_cancel_the_subscription_at_its_end(shop, driver):
    clock, subscription, schedule = await scheduled(shop)
    await plan_bigger(shop, schedule, end_behavior="cancel")
    assert (await shop.fetch(subscription.id)).cancel_at == MARCH
    await driver.advance_clock(clock, MARCH + DAY)
    assert (await shop.fetch(subscription.id)).ended_at == MARCH
    after = await shop.api.v1.subscription_schedules.retrieve_async(schedule.id)
    assert (after.status, after.completed_at) == ("completed", MARCH)


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_released_subscription_keeps_its_end_only_if_asked(shop, keeps):
    _, subscription, schedule = await scheduled(shop)
    await plan_bigger(shop, schedule, end_behavior="cancel")
    schedules = shop.api.v1.subscription_schedules
    await schedules.release_async(schedule.id, {"preserve_cancel_date": keeps})
    assert (await shop.fetch(subscription.id)).cancel_at == (MARCH if keeps else None)
    for change, verb in (
        (schedules.update_async(schedule.id, {"end_behavior": "release"}), "update"),
        (schedules.release_async(schedule.id), "release"),
        (schedules.cancel_async(schedule.id), "cancel"),
    ):
        with refused(f"cannot {verb} a subscription schedule that is currently in the `released`"):
            await change


async def test_the_end_of_a_scheduled_subscription_cannot_be_changed_directly(shop):
    _, subscription, schedule = await scheduled(shop)
    v1 = shop.api.v1
    for end in ({"cancel_at_period_end": True}, {"cancel_at": MARCH}, {"cancel_at": ""}):
        with pytest.raises(stripe.InvalidRequestError) as refusal:
            await v1.subscriptions.update_async(subscription.id, end)
        assert refusal.value.user_message == MANAGED.format(schedule.id)
        assert refusal.value.code is None
    await v1.subscriptions.update_async(subscription.id, {"metadata": {"a": "b"}})
    await v1.subscription_schedules.release_async(schedule.id)
    await v1.subscriptions.update_async(subscription.id, {"cancel_at_period_end": True})


async def test_a_subscription_has_one_schedule_at_a_time(shop):
    _, subscription, schedule = await scheduled(shop)
    create = shop.api.v1.subscription_schedules.create_async
    with refused(f"already attached to a schedule: `{schedule.id}`", "from_subscription"):
        await create({"from_subscription": subscription.id})
    for name, value in (("end_behavior", "cancel"), ("start_date", "now")):
        with refused(f"cannot set `{name}` if `from_subscription` is set", name):
            await create({"from_subscription": subscription.id, name: value})


async def test_items_that_are_changed_directly_become_the_current_phase(shop):
    _, subscription, schedule = await scheduled(shop)
    [item] = subscription["items"].data
    await shop.api.v1.subscriptions.update_async(
        subscription.id, {"items": [{"id": item.id, "price": shop.prices["bigger"]}]}
    )
    after = await shop.api.v1.subscription_schedules.retrieve_async(schedule.id)
    assert [item.price for item in after.phases[0]["items"]] == [shop.prices["bigger"]]


async def test_cancelling_either_cancels_both(shop):
    v1 = shop.api.v1
    _, first, schedule = await scheduled(shop)
    await v1.subscriptions.cancel_async(first.id)
    found = await v1.subscription_schedules.retrieve_async(schedule.id)
    assert (found.status, found.canceled_at) == ("canceled", START)
    _, second, schedule = await scheduled(shop)
    assert (await v1.subscription_schedules.cancel_async(schedule.id)).status == "canceled"
    assert (await shop.fetch(second.id)).status == "canceled"
    # the rest of the period is credited, as Stripe does for schedules by default
    assert [invoice.total for invoice in await shop.invoices(second.id)] == [1000, -1000]


@pytest.mark.parametrize(
    ("phases", "sentence"),
    [
        ([{"start_date": START + DAY}], "modify the start date of the current phase"),
        ([{}, {"start_date": MARCH}], "must be the end date of the phase before"),
        ([{"end_date": START}], "must end after it starts"),
        ([{"end_date": FEBRUARY, "duration": {"interval": "day"}}], "only specify one of"),
        ([{"end_date": "now"}], "does not support"),
        ([{"items": [{"price": "price_none"}]}], "No such price"),
        ([{"discounts": [{"coupon": "none"}]}], "No such coupon"),
    ],
)
async def test_phases_that_do_not_fit_are_refused(shop, phases, sentence):
    _, _, schedule = await scheduled(shop)
    items = [{"price": shop.prices["monthly"], "quantity": 1}]
    with refused(sentence):
        await shop.api.v1.subscription_schedules.update_async(
            schedule.id, {"phases": [{"items": items, **phase} for phase in phases]}
        )


async def test_a_phase_may_bring_another_term(shop, driver):
    clock, subscription, schedule = await scheduled(shop)
    phases = [
        {"items": [{"price": shop.prices["monthly"]}], "end_date": FEBRUARY},
        {"items": [{"price": shop.prices["yearly"]}]},
    ]
    await shop.api.v1.subscription_schedules.update_async(schedule.id, {"phases": phases})
    await driver.advance_clock(clock, FEBRUARY + DAY)
    [item] = (await shop.fetch(subscription.id))["items"].data
    assert (item.price.id, item.current_period_start) == (shop.prices["yearly"], FEBRUARY)
    assert [invoice.total for invoice in await shop.invoices(subscription.id)] == [1000, 10000]


async def test_the_current_phase_changes_the_subscription_at_once(shop):
    _, subscription, schedule = await scheduled(shop)
    await shop.api.v1.subscription_schedules.update_async(
        schedule.id,
        {
            "phases": [{"items": [{"price": shop.prices["bigger"]}], "metadata": {"a": "b"}}],
            "proration_behavior": "always_invoice",
        },
    )
    changed = await shop.fetch(subscription.id)
    assert [item.price.id for item in changed["items"].data] == [shop.prices["bigger"]]
    assert changed.metadata.to_dict() == {"a": "b"}
    assert [invoice.total for invoice in await shop.invoices(subscription.id)] == [1000, 2000]


async def discounted(shop: Shop) -> tuple[str, stripe.Subscription]:
    """Return a clock, and a subscription with a coupon of half the price."""
    coupon = {"id": "HALF", "percent_off": 50, "duration": "forever"}
    await shop.api.v1.coupons.create_async(coupon)
    clock, customer = await shop.clocked_customer()
    await shop.driver.replace_card(customer)
    return clock, await subscribe(shop, customer, discounts=[{"coupon": "HALF"}])


@pytest.mark.parametrize("kept", [True, False])
async def test_a_phase_has_only_the_discounts_that_it_names(shop, driver, kept):
    clock, subscription = await discounted(shop)
    schedule = await shop.api.v1.subscription_schedules.create_async(
        {"from_subscription": subscription.id}
    )
    [current] = schedule.phases
    [held] = current.discounts
    assert [held.discount] == subscription.discounts
    discounts = [{"discount": held.discount}]
    items = [{"price": shop.prices["monthly"]}]
    after = {"discounts": discounts} if kept else {}
    phases = [{"items": items, "discounts": discounts, "end_date": current.end_date}]
    await shop.api.v1.subscription_schedules.update_async(
        schedule.id,
        {"phases": [*phases, {"items": [{"price": shop.prices["bigger"]}], **after}]},
    )
    await driver.advance_clock(clock, FEBRUARY + DAY)
    assert [i.total for i in await shop.invoices(subscription.id)] == [500, 1500 if kept else 3000]
    left = (await shop.fetch(subscription.id)).discounts
    assert left == (subscription.discounts if kept else [])


async def test_a_coupon_and_a_card_of_a_phase_begin_with_it(shop, driver):
    clock, subscription, schedule = await scheduled(shop)
    await shop.api.v1.coupons.create_async({"id": "FIFTH", "percent_off": 20, "duration": "once"})
    card = await shop.api.v1.payment_methods.attach_async(
        "pm_card_mastercard", {"customer": subscription.customer}
    )
    monthly = {"items": [{"price": shop.prices["monthly"]}]}
    later = {"discounts": [{"coupon": "FIFTH"}], "default_payment_method": card.id}
    await shop.api.v1.subscription_schedules.update_async(
        schedule.id, {"phases": [monthly, {**monthly, **later}]}
    )
    assert (await shop.api.v1.coupons.retrieve_async("FIFTH")).times_redeemed == 0
    await driver.advance_clock(clock, FEBRUARY + DAY)
    assert [invoice.total for invoice in await shop.invoices(subscription.id)] == [1000, 800]
    assert (await shop.fetch(subscription.id)).default_payment_method == card.id


async def test_a_schedule_of_phases_makes_its_subscription_when_it_starts(shop, driver):
    clock, customer = await shop.clocked_customer()
    await shop.driver.replace_card(customer)
    order = {
        "customer": customer,
        "start_date": START + DAY,
        "end_behavior": "cancel",
        "metadata": {"a": "b"},
        "phases": [{"items": [{"price": shop.prices["monthly"]}], "metadata": {"c": "d"}}],
    }
    waiting = await shop.api.v1.subscription_schedules.create_async(order)
    assert (waiting.status, waiting.subscription) == ("not_started", None)
    await driver.advance_clock(clock, START + 2 * DAY)
    started = await shop.api.v1.subscription_schedules.retrieve_async(waiting.id)
    subscription = await shop.fetch(started.subscription)
    assert (started.status, subscription.status) == ("active", "active")
    assert (subscription.schedule, subscription.metadata.to_dict()) == (started.id, {"c": "d"})
    assert subscription.cancel_at == started.phases[0].end_date
    [invoice] = await shop.invoices(subscription.id)
    assert (invoice.status, invoice.billing_reason) == ("paid", "subscription_create")


async def test_a_schedule_that_has_not_started_is_canceled_alone(shop, driver):
    _, customer = await shop.clocked_customer()
    order = {"customer": customer, "start_date": START + DAY}
    phases = [{"items": [{"price": shop.prices["monthly"]}]}]
    waiting = await shop.api.v1.subscription_schedules.create_async({**order, "phases": phases})
    canceled = await shop.api.v1.subscription_schedules.cancel_async(waiting.id)
    assert (canceled.status, canceled.subscription) == ("canceled", None)
    await driver.wait_idle()
    assert "customer.subscription.created" not in shop.receiver.types()


async def test_the_end_of_a_schedule_is_announced_a_week_before(shop, driver):
    clock, _, schedule = await scheduled(shop)
    await driver.advance_clock(clock, FEBRUARY - 7 * DAY)
    await driver.wait_idle()
    expiring = shop.receiver.last("subscription_schedule.expiring")
    assert expiring["data"]["object"]["id"] == schedule.id


class TestItemsAreRefused:
    """The other way, if Stripe refuses items of a scheduled subscription."""

    @pytest.fixture
    def config(self, receiver):
        target = WebhookTarget(receiver.url, SECRET)
        return SandboxConfig(webhooks=(target,), choices=Choices(scheduled_items="refuse"))

    async def test_a_schedule_owns_the_items_too(self, shop):
        _, subscription, schedule = await scheduled(shop)
        [item] = subscription["items"].data
        with refused(f"managed by the subscription schedule `{schedule.id}`"):
            await shop.api.v1.subscriptions.update_async(
                subscription.id, {"items": [{"id": item.id, "quantity": 2}]}
            )


async def test_a_schedule_is_aborted_if_its_subscription_ends_unpaid(shop, driver):
    clock, subscription, schedule = await scheduled(shop)
    await plan_bigger(shop, schedule)
    await driver.replace_card(subscription.customer, "4000000000000341")
    await driver.advance_clock(clock, FEBRUARY + 20 * DAY)
    assert (await shop.fetch(subscription.id)).status == "canceled"
    found = await shop.api.v1.subscription_schedules.retrieve_async(schedule.id)
    assert found.status == "canceled"
    await driver.wait_idle()
    told = {name for name in shop.receiver.types() if name.startswith("subscription_schedule.")}
    assert "subscription_schedule.aborted" in told
    assert "subscription_schedule.canceled" not in told
