"""Pauses that a schedule plans, usage that a pause bills, and pauses in the portal."""

import pytest

from stripe_sandbox import Dunning, SandboxConfig, WebhookTarget
from tests.stripe_sandbox.calls import refused
from tests.stripe_sandbox.conftest import DAY, SECRET, START
from tests.stripe_sandbox.test_pauses_and_due_dates import MIDDLE, running
from tests.stripe_sandbox.test_portal_flows import open_flow, read, send

FEBRUARY = START + 31 * DAY


def at(moment):
    return {"type": "timestamp", "timestamp": moment}


async def plan(shop, subscription, entry, **more):
    order = {"from_subscription": subscription, "pause_schedules": [entry], **more}
    return await shop.api.v1.subscription_schedules.create_async(order)


async def state(shop, schedule):
    found = await shop.api.v1.subscription_schedules.retrieve_async(schedule.id)
    [entry] = found.pause_schedules
    return (
        found.status,
        entry.pause.status.type,
        entry.resume and entry.resume.status.type,
    )


async def test_a_pause_begins_and_ends_when_it_is_planned(shop):
    clock, subscription = await running(shop)
    entry = {
        "key": "holiday",
        "pause": {"pause_at": at(START + 20 * DAY)},
        "resume": {
            "resume_at": {"type": "duration", "duration": {"interval": "month"}},
            "settings": {"payment_behavior": "resume_on_payment_attempt"},
        },
    }
    schedule = await plan(shop, subscription.id, entry)
    [planned] = schedule.pause_schedules
    assert (planned.key, planned.resume.resume_at) == ("holiday", START + 51 * DAY)
    assert planned.pause.settings.bill_for.unused_time_from.type == "pause_at"
    assert planned.resume.settings.billing_cycle_anchor == "resume_at"
    await shop.driver.advance_clock(clock, START + 40 * DAY)
    paused = await shop.fetch(subscription.id)
    assert (paused.status, paused.status_details.paused.subscription.type) == (
        "paused",
        "pause_requested",
    )
    assert await state(shop, schedule) == ("active", "succeeded", "scheduled")
    assert len(await shop.invoices(subscription.id)) == 1
    await shop.driver.advance_clock(clock, START + 52 * DAY)
    resumed = await shop.fetch(subscription.id)
    assert (resumed.status, resumed.billing_cycle_anchor) == ("active", START + 51 * DAY)
    assert await state(shop, schedule) == ("released", "succeeded", "succeeded")
    last = (await shop.invoices(subscription.id))[-1]
    assert last.total == 1000 - round(1000 * 11 / 31)


async def test_a_pause_waits_for_the_payment_that_ends_it(shop):
    clock, subscription = await running(shop)
    entry = {
        "pause": {"pause_at": {"type": "now"}},
        "resume": {"resume_at": at(START + 20 * DAY)},
    }
    schedule = await plan(shop, subscription.id, entry)
    assert (await shop.fetch(subscription.id)).status == "paused"
    await shop.driver.replace_card(subscription.customer, "4000000000000341")
    await shop.driver.advance_clock(clock, START + 20 * DAY)
    assert await state(shop, schedule) == ("active", "succeeded", "pending")
    [*_, invoice] = (await shop.api.v1.invoices.list_async({"status": "open"})).data
    await shop.driver.replace_card(subscription.customer)
    await shop.api.v1.invoices.pay_async(invoice.id)
    assert (await shop.fetch(subscription.id)).status == "active"
    assert (await state(shop, schedule))[2] == "succeeded"


async def test_a_paused_subscription_gets_an_end_by_a_schedule(shop):
    clock, subscription = await running(shop)
    await shop.api.v1.subscriptions.pause_async(subscription.id)
    settings = {"billing_cycle_anchor": "unchanged", "proration_behavior": "none"}
    resume = {"resume_at": at(FEBRUARY + DAY), "settings": settings}
    schedule = await plan(shop, subscription.id, {"resume": resume})
    assert schedule.pause_schedules[0].pause.pause_at == MIDDLE
    await shop.driver.advance_clock(clock, FEBRUARY + 2 * DAY)
    resumed = await shop.fetch(subscription.id)
    assert (resumed.status, resumed.billing_cycle_anchor) == ("active", START)


async def test_a_planned_pause_can_be_moved_and_cleared(shop):
    clock, subscription = await running(shop)
    entry = {"key": "k", "pause": {"pause_at": at(START + 20 * DAY)}}
    schedule = await plan(shop, subscription.id, entry)
    update = shop.api.v1.subscription_schedules.update_async
    moved = {"key": "k", "pause": {"settings": {"invoicing_behavior": "invoice"}}}
    kept = (await update(schedule.id, {"pause_schedules": [moved]})).pause_schedules[0].pause
    assert (kept.pause_at, kept.settings.invoicing_behavior) == (START + 20 * DAY, "invoice")
    assert (await update(schedule.id, {"pause_schedules": ""})).pause_schedules == []
    await shop.driver.advance_clock(clock, START + 25 * DAY)
    assert (await shop.fetch(subscription.id)).status == "active"


async def test_what_cannot_be_paused_is_noted_when_the_time_comes(shop):
    clock, subscription = await running(shop)
    entry = {"pause": {"pause_at": at(FEBRUARY + 5 * DAY)}}
    schedule = await plan(shop, subscription.id, entry)
    await shop.api.v1.subscriptions.update_async(
        subscription.id, {"trial_end": FEBRUARY + 20 * DAY}
    )
    await shop.driver.advance_clock(clock, FEBRUARY + 6 * DAY)
    found = await shop.api.v1.subscription_schedules.retrieve_async(schedule.id)
    status = found.pause_schedules[0].pause.status
    assert (status.type, "`trialing`" in status.error.message) == ("error", True)


async def test_pauses_that_make_no_sense_are_refused(shop):
    _, subscription = await running(shop)
    later = {"pause": {"pause_at": at(START + 20 * DAY)}}
    for entries, sentence in (
        ([later, later], "Only one pause"),
        ([{"resume": {"resume_at": {"type": "now"}}}], "Missing required param"),
        ([{"pause": {"pause_at": at(START)}}], "in the future"),
        ([{**later, "resume": {"resume_at": at(START + 19 * DAY)}}], "before it is paused"),
        ([{**later, "resume": {"resume_at": {"type": "duration"}}}], "Missing required param"),
    ):
        with refused(sentence):
            await shop.api.v1.subscription_schedules.create_async(
                {"from_subscription": subscription.id, "pause_schedules": entries}
            )
    _, classic = await running(shop, billing_mode={"type": "classic"})
    with refused("flexible"):
        await plan(shop, classic.id, later)
    _, sent = await running(shop, collection_method="send_invoice", days_until_due=5)
    with refused("charge_automatically"):
        await plan(shop, sent.id, later)


async def test_a_customer_pauses_for_a_time_and_resumes_in_the_portal(shop):
    clock, subscription = await running(shop)
    duration = {
        "type": "interval_options",
        "interval_options": [{"interval": "week"}, {"interval": "month", "interval_count": 2}],
    }
    features = {"subscription_pause": {"enabled": True, "duration": duration}}
    session = await open_flow(
        shop,
        subscription.customer,
        features,
        type="subscription_pause",
        subscription_pause={"subscription": subscription.id},
    )
    page = await read(session.url)
    assert ("1 week" in page, "2 months" in page, "Cancel" in page) == (True, True, False)
    form = {"action": "pause", "subscription": subscription.id}
    assert (await send(session.url, {**form, "duration": "2"}))[0] == 404
    assert await send(session.url, {**form, "duration": "0"}) == (
        303,
        "https://shop.example/thanks",
    )
    assert (await shop.fetch(subscription.id)).status == "paused"
    await shop.driver.advance_clock(clock, MIDDLE + 8 * DAY)
    assert (await shop.fetch(subscription.id)).status == "active"
    await send(session.url, {**form, "duration": "1"})
    await send(session.url, {**form, "action": "resume"})
    assert (await shop.fetch(subscription.id)).status == "active"


async def test_a_portal_pauses_only_if_its_configuration_says_so(shop):
    _, subscription = await running(shop)
    flow = {"type": "subscription_pause", "subscription_pause": {"subscription": subscription.id}}
    with refused("cannot be paused because the subscription pause feature"):
        await open_flow(shop, subscription.customer, **flow)
    create = shop.api.v1.billing_portal.configurations.create_async
    made = await create({"features": {"subscription_pause": {"enabled": True}}})
    [option] = made.features.subscription_pause.duration.interval_options
    assert (option.interval, option.interval_count) == ("month", 1)
    long = {"type": "interval_options", "interval_options": [
        {"interval": "year", "interval_count": 4}]}  # fmt: skip
    with refused("up to three years"):
        await create({"features": {"subscription_pause": {"duration": long}}})
    endless = {"enabled": True, "duration": {"type": "indefinite"}}
    session = await open_flow(shop, subscription.customer, {"subscription_pause": endless}, **flow)
    await send(session.url, {"action": "pause", "subscription": subscription.id})
    assert (await shop.fetch(subscription.id)).status == "paused"


async def test_a_link_leads_to_the_details_of_a_customer_alone(shop):
    _, subscription = await running(shop)
    features = {"customer_update": {"enabled": True, "allowed_updates": ["name"]}}
    session = await open_flow(shop, subscription.customer, features, type="customer_update")
    page = await read(session.url)
    assert ("Your details" in page, "Use this card" in page) == (True, False)
    form = {"action": "customer", "name": "Grace", "email": "new@example.com"}
    assert await send(session.url, form) == (303, "https://shop.example/thanks")
    kept = await shop.api.v1.customers.retrieve_async(subscription.customer)
    assert (kept.name, kept.email) == ("Grace", "ada@example.com")


class TestPauseAtOnce:
    """An account that pauses after the first failed renewal."""

    @pytest.fixture
    def config(self, receiver):
        target = WebhookTarget(receiver.url, SECRET)
        return SandboxConfig(webhooks=(target,), dunning=Dunning(first="pause"))

    async def test_the_first_failed_renewal_pauses_and_stays_payable(self, shop):
        clock, subscription = await running(shop)
        await shop.driver.replace_card(subscription.customer, "4000000000000341")
        await shop.driver.advance_clock(clock, FEBRUARY + DAY)
        paused = await shop.fetch(subscription.id)
        details = paused.status_details.paused
        assert (paused.status, details.subscription.type) == ("paused", "first_payment_failure")
        await shop.driver.replace_card(subscription.customer)
        paid = await shop.api.v1.invoices.pay_async(paused.latest_invoice)
        assert paid.status == "paid"

    async def test_one_that_cannot_be_paused_is_past_due(self, shop):
        clock, subscription = await running(shop, billing_mode={"type": "classic"})
        await shop.driver.replace_card(subscription.customer, "4000000000000341")
        await shop.driver.advance_clock(clock, FEBRUARY + DAY)
        assert (await shop.fetch(subscription.id)).status == "past_due"


@pytest.mark.parametrize(("resumes", "anchor"), [("unchanged", START), ("now", FEBRUARY + DAY)])
class TestResumesOncePaid:
    """An account that resumes what it has paused, once it is paid."""

    @pytest.fixture
    def config(self, receiver, resumes):
        target = WebhookTarget(receiver.url, SECRET)
        return SandboxConfig(webhooks=(target,), dunning=Dunning(first="pause", resumes=resumes))

    async def test_a_payment_resumes_what_was_paused_for_it(self, shop, anchor):
        clock, subscription = await running(shop)
        await shop.driver.replace_card(subscription.customer, "4000000000000341")
        await shop.driver.advance_clock(clock, FEBRUARY + DAY)
        paused = await shop.fetch(subscription.id)
        await shop.driver.replace_card(subscription.customer)
        await shop.api.v1.invoices.pay_async(paused.latest_invoice)
        resumed = await shop.fetch(subscription.id)
        assert (resumed.status, resumed.billing_cycle_anchor) == ("active", anchor)
        end = resumed["items"].data[0].current_period_end
        assert end == (FEBRUARY + 28 * DAY if resumes_in_march(anchor) else FEBRUARY + 29 * DAY)


def resumes_in_march(anchor):
    return anchor == START
