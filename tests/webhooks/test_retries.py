"""A failed event is retried automatically."""

import asyncio

import pytest
from aiohttp.test_utils import TestServer

from mpanel_billing.webhooks.inbox import MAX_ATTEMPTS, retry_event
from mpanel_billing.worker.sweep import sweep
from tests import stripe_objects as made
from tests.convergence.stripe_stub import create_stripe_stub
from tests.inbox import Inbox
from tests.processes import running_worker
from tests.waiting import until_true
from tests.webhooks.test_receiving import FAULT, MENDED, POISON

DUE = "UPDATE stripe_events SET next_attempt_at = now()"


async def test_a_failed_event_is_triggered_again_when_it_is_due_and_not_before(
    inbox: Inbox,
) -> None:
    await inbox.pool.execute(FAULT)
    await inbox.receive(POISON)
    assert (await sweep(inbox.pool))["events"] == 0
    await inbox.pool.execute(DUE)
    assert (await sweep(inbox.pool))["events"] == 1
    job = await inbox.row("SELECT entrypoint, payload FROM pgqueuer")
    assert tuple(job) == ("retry_event", b"evt_bad")


async def test_each_failure_doubles_the_wait_and_the_last_one_leaves_it_to_a_person(
    inbox: Inbox,
) -> None:
    await inbox.pool.execute(FAULT)
    await inbox.receive(POISON)
    waits = (
        "SELECT attempts, extract(epoch FROM next_attempt_at - now()) AS wait FROM stripe_events"
    )
    await retry_event(inbox.mirror, "evt_bad")
    again = await inbox.row(waits)
    assert (again["attempts"], float(again["wait"])) == (2, pytest.approx(120, abs=10))
    await inbox.pool.execute("UPDATE stripe_events SET attempts = $1", MAX_ATTEMPTS - 1)
    await retry_event(inbox.mirror, "evt_bad")
    assert tuple(await inbox.row(waits)) == (MAX_ATTEMPTS, None)
    assert (await sweep(inbox.pool))["events"] == 0


async def test_the_worker_applies_a_failed_event_that_is_due(
    inbox: Inbox, database_url: str
) -> None:
    await inbox.pool.execute(FAULT)
    await inbox.receive(POISON)
    await inbox.pool.execute(MENDED)
    await inbox.pool.execute(DUE)
    await sweep(inbox.pool)
    async with asyncio.timeout(30), running_worker(database_url) as worker:
        await until_true(inbox.pool, "SELECT status = 'applied' FROM stripe_events")
        assert await worker.stop() == 0
    assert (await inbox.subscription())["amount"] == 666


async def test_a_refetch_whose_trigger_was_lost_is_found_and_done_by_the_worker(
    inbox: Inbox, database_url: str
) -> None:
    await inbox.pool.execute(
        "INSERT INTO stripe_refetches (object_id, object_type, reason, next_attempt_at)"
        " VALUES ('sub_1', 'subscription', 'test', now())"
    )
    assert (await sweep(inbox.pool))["refetches"] == 1
    async with (
        asyncio.timeout(30),
        TestServer(create_stripe_stub({"sub_1": made.subscription(amount=900)})) as truth,
        running_worker(database_url, stripe_url=str(truth.make_url("/"))) as worker,
    ):
        await until_true(inbox.pool, "SELECT amount = 900 FROM subscriptions")
        assert await worker.stop() == 0
