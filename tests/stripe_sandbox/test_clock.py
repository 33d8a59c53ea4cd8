"""Time that is moved for everything without a test clock."""

import asyncio
import time
from email.utils import parsedate_to_datetime

import pytest
from aiohttp import ClientResponseError, ClientSession

from stripe_sandbox import SandboxConfig, running_sandbox
from stripe_sandbox.client import SandboxClient
from tests.stripe_sandbox.conftest import DAY


async def test_a_trial_that_checkout_began_ends_and_is_billed(shop):
    trial = await shop.buy("monthly", subscription_data={"trial_period_days": 14})
    await shop.driver.advance_time(trial.trial_end + 2 * 3600)
    subscription = await shop.fetch(trial.id)
    assert subscription.status == "active"
    first, second = await shop.invoices(trial.id)
    assert (first.total, second.total, second.status) == (0, 1000, "paid")
    assert second.created == trial.trial_end


async def test_what_falls_due_happens_in_its_order_and_is_dated_by_its_moment(shop):
    subscription = await shop.buy("monthly")
    await shop.driver.advance_time(subscription.created + 100 * DAY)
    await shop.driver.wait_idle()
    renewals = [
        event["created"] for event in shop.receiver.events if event["type"] == "invoice.created"
    ]
    invoices = await shop.invoices(subscription.id)
    assert renewals == [invoice.created for invoice in invoices]
    assert len(invoices) == 4
    dates = [event["created"] for event in shop.receiver.events]
    assert dates == sorted(dates)


async def test_the_date_of_responses_follows(shop, sandbox):
    target = int(time.time()) + 30 * DAY
    await shop.driver.advance_time(target)
    async with ClientSession() as browser, browser.get(f"{sandbox.url}/v1/nothing") as answer:
        date = parsedate_to_datetime(answer.headers["Date"]).timestamp()
    assert date >= target
    assert await shop.driver.now() >= target
    customer = await shop.api.v1.customers.create_async({})
    assert customer.created >= target


async def test_webhooks_are_signed_in_real_time(shop):
    # the receiver refuses a signature that is older than five minutes
    await shop.driver.advance_time(int(time.time()) + 30 * DAY)
    await shop.buy("monthly")
    await shop.driver.wait_idle()
    assert "checkout.session.completed" in shop.receiver.types()
    signed = shop.receiver.headers[-1]["Stripe-Signature"]
    assert abs(int(signed.split(",")[0].removeprefix("t=")) - time.time()) < DAY


async def test_an_open_session_expires(shop):
    session = await shop.open("monthly", after_expiration={"recovery": {"enabled": True}})
    await shop.driver.advance_time(session.expires_at)
    expired = await shop.api.v1.checkout.sessions.retrieve_async(session.id)
    assert expired.status == "expired"
    assert expired.after_expiration.recovery.url is not None


async def test_what_lives_by_a_test_clock_stays(shop):
    clock, customer = await shop.clocked_customer()
    session = await shop.open("monthly", customer=customer)
    await shop.driver.advance_time(int(time.time()) + 30 * DAY)
    assert (await shop.api.v1.checkout.sessions.retrieve_async(session.id)).status == "open"
    shown = await shop.api.v1.test_helpers.test_clocks.retrieve_async(clock)
    assert shown.frozen_time < time.time()


async def test_time_continues_from_there(shop):
    subscription = await shop.buy("monthly", subscription_data={"trial_period_days": 14})
    await shop.driver.advance_time(subscription.trial_end - 1)
    assert (await shop.fetch(subscription.id)).status == "trialing"
    async with asyncio.timeout(30):
        while (await shop.fetch(subscription.id)).status != "active":
            shop.receiver.arrived.clear()
            await shop.receiver.arrived.wait()


async def test_time_never_goes_back(shop):
    with pytest.raises(ClientResponseError) as refused:
        await shop.driver.advance_time(int(time.time()) - DAY)
    assert refused.value.status == 400


async def test_the_time_survives_a_restart_and_ends_with_a_reset(tmp_path):
    config = SandboxConfig(state_file=tmp_path / "sandbox.sqlite")
    later = int(time.time()) + 30 * DAY
    async with running_sandbox(config) as sandbox, SandboxClient(sandbox.url) as driver:
        await driver.advance_time(later)
    async with running_sandbox(config) as sandbox, SandboxClient(sandbox.url) as driver:
        assert await driver.now() >= later
        await driver.reset()
        assert await driver.now() < later
