"""Refetches: dated by Stripe's clock, one at a time, repeated until no request is left."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from mpanel_billing.database.pool import transaction
from mpanel_billing.jobs.queue import enqueue_refetches
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.repository import clear_refetch, lease_refetch, request_refetches
from mpanel_billing.stripe_gateway.gateway import StripeGateway, open_gateway
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.service import make_settings
from tests.waiting import until_blocking

T = 1_790_000_000


@dataclass
class StripeWithClock:
    """A Stripe whose clock differs from ours."""

    objects: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    ahead: timedelta = timedelta()
    asked: list[str] = field(default_factory=list)
    requested: asyncio.Event = field(default_factory=asyncio.Event)
    responding: asyncio.Event = field(default_factory=asyncio.Event)
    status: int = 200

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def answer(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        self.asked.append(id_)
        self.requested.set()
        await self.responding.wait()
        headers = {"Date": format_datetime(self.now(), usegmt=True)}
        if self.status != 200:
            body: Mapping[str, Any] = {"error": {"type": "api_error", "message": "no"}}
            return web.json_response(body, status=self.status, headers=headers)
        return web.json_response(self.objects[id_], headers=headers)


@pytest.fixture
async def stripe_clock() -> StripeWithClock:
    clocked = StripeWithClock()
    clocked.responding.set()
    return clocked


@pytest.fixture
async def gateway(stripe_clock: StripeWithClock) -> AsyncIterator[StripeGateway]:
    app = web.Application()
    app.router.add_get("/v1/{kind}/{id}", stripe_clock.answer)
    async with TestServer(app) as server:
        gateway = open_gateway(make_settings(stripe_api_base=str(server.make_url("/"))))
        yield gateway
        await gateway.close()


@pytest.fixture
def mirror(inbox: Inbox, gateway: StripeGateway) -> Mirror:
    return Mirror(inbox.pool, gateway, livemode=False)


async def insert_request(inbox: Inbox, id_: str = "sub_1", kind: str = "subscription") -> None:
    await inbox.pool.execute(
        "INSERT INTO stripe_refetches (object_id, object_type, reason) VALUES ($1, $2, 'test')",
        id_,
        kind,
    )


@pytest.mark.parametrize("minutes", [-10, 0, 10])
async def test_a_response_is_dated_by_stripes_clock_however_wrong_ours_is(
    inbox: Inbox, mirror: Mirror, stripe_clock: StripeWithClock, minutes: int
) -> None:
    stripe_clock.ahead = timedelta(minutes=minutes)
    before = int(stripe_clock.now().timestamp()) - 60
    await inbox.deliver("customer.subscription.created", made.subscription(), created=before)
    stripe_clock.objects["sub_1"] = made.subscription(amount=900)
    await insert_request(inbox)
    await mirror.refetch("sub_1")
    row = await inbox.subscription()
    assert row["amount"] == 900
    assert abs(row["stripe_as_of"] - stripe_clock.now()) < timedelta(seconds=30)
    older = made.subscription(amount=1)
    assert (
        await inbox.deliver("customer.subscription.updated", older, created=before + 30) == "stale"
    )
    later = int(row["stripe_as_of"].timestamp()) + 1
    newer = made.subscription(amount=2)
    assert await inbox.deliver("customer.subscription.updated", newer, created=later) == "applied"
    assert (await inbox.subscription())["amount"] == 2


async def test_a_refresh_asks_again_if_an_event_of_its_second_overtakes_the_response(
    inbox: Inbox, mirror: Mirror, stripe_clock: StripeWithClock
) -> None:
    now = int(stripe_clock.now().timestamp())
    await inbox.deliver("customer.subscription.created", made.subscription(), created=now - 60)
    stripe_clock.objects["sub_1"] = made.subscription(amount=900)
    stripe_clock.responding.clear()
    refreshing = asyncio.create_task(mirror.refresh("subscription", "sub_1"), name="refresh")
    await stripe_clock.requested.wait()
    between = int(stripe_clock.now().timestamp())
    overtaking = made.subscription(amount=700)
    await inbox.deliver("customer.subscription.updated", overtaking, created=between)
    stripe_clock.responding.set()
    await refreshing
    assert (await inbox.subscription())["amount"] == 900
    assert stripe_clock.asked == ["sub_1", "sub_1"]


async def test_twenty_concurrent_events_of_one_second_end_with_the_latest_state(
    inbox: Inbox, mirror: Mirror, stripe_clock: StripeWithClock
) -> None:
    now = int(stripe_clock.now().timestamp())
    updates = [made.subscription(amount=700 + number) for number in range(20)]
    stripe_clock.objects["sub_1"] = updates[-1]
    await asyncio.gather(
        *(
            inbox.deliver("customer.subscription.updated", update, created=now, previous={"n": n})
            for n, update in enumerate(updates)
        )
    )
    await mirror.refetch("sub_1")
    assert (await inbox.subscription())["amount"] == 719
    assert await inbox.pool.fetchval("SELECT count(*) FROM stripe_refetches") == 1  # its customer


async def test_one_worker_at_a_time_fetches_an_object(
    inbox: Inbox, mirror: Mirror, stripe_clock: StripeWithClock
) -> None:
    stripe_clock.objects["sub_1"] = made.subscription()
    stripe_clock.responding.clear()
    await insert_request(inbox)
    asking = [asyncio.create_task(mirror.refetch("sub_1")) for _ in range(5)]
    finished = asyncio.as_completed(asking)
    async with asyncio.timeout(20):
        for _ in range(4):
            await next(finished)
    assert sum(not task.done() for task in asking) == 1
    stripe_clock.responding.set()
    await asyncio.gather(*asking)
    assert stripe_clock.asked == ["sub_1"]


async def test_a_request_made_during_a_fetch_is_fetched_again(
    inbox: Inbox, mirror: Mirror, stripe_clock: StripeWithClock
) -> None:
    stripe_clock.objects["sub_1"] = made.subscription(amount=1)
    stripe_clock.responding.clear()
    await insert_request(inbox)
    asking = asyncio.create_task(mirror.refetch("sub_1"))
    await stripe_clock.requested.wait()
    await inbox.pool.execute("UPDATE stripe_refetches SET version = version + 1")
    stripe_clock.responding.set()
    await asking
    assert stripe_clock.asked == ["sub_1", "sub_1"]
    left = "SELECT count(*) FROM stripe_refetches WHERE object_id = 'sub_1'"
    assert await inbox.pool.fetchval(left) == 0


async def test_an_event_that_overtakes_the_response_is_not_undone(
    inbox: Inbox, mirror: Mirror, stripe_clock: StripeWithClock
) -> None:
    now = int(stripe_clock.now().timestamp())
    await inbox.deliver("customer.subscription.created", made.subscription(), created=now - 60)
    stripe_clock.objects["sub_1"] = made.subscription(amount=1)
    stripe_clock.responding.clear()
    await insert_request(inbox)
    asking = asyncio.create_task(mirror.refetch("sub_1"))
    await stripe_clock.requested.wait()
    ended = made.subscription(status="canceled", amount=2)
    await inbox.deliver("customer.subscription.deleted", ended, created=now + 60)
    stripe_clock.responding.set()
    await asking
    row = await inbox.subscription()
    assert (row["stripe_status"], row["amount"]) == ("canceled", 2)


async def test_a_new_request_is_triggered_while_the_job_of_the_last_one_ends(
    inbox: Inbox,
) -> None:
    wishes = [{"object_id": "sub_1", "object_type": "subscription", "reason": "test"}]
    for _ in range(2):
        async with transaction(inbox.pool) as conn:
            await enqueue_refetches(conn, await request_refetches(conn, wishes))
        await inbox.pool.execute("DELETE FROM stripe_refetches")
    assert await inbox.pool.fetchval("SELECT count(*) FROM pgqueuer") == 2


async def test_a_request_inserted_while_the_last_one_is_cleared_is_not_left_leased(
    inbox: Inbox,
) -> None:
    wishes = [{"object_id": "sub_1", "object_type": "subscription", "reason": "test"}]
    pool = inbox.pool
    async with transaction(pool) as conn:
        ((_, first, _),) = await request_refetches(conn, wishes)
    async with pool.acquire() as worker:
        await lease_refetch(worker, "sub_1", 120)
        async with transaction(pool) as conn:
            ((_, second, _),) = await request_refetches(conn, wishes)
            clearing = asyncio.create_task(clear_refetch(worker, "sub_1", first))
            await until_blocking(conn, pool)
        assert await clearing == second
    assert (await inbox.row("SELECT leased_until FROM stripe_refetches"))["leased_until"] is None


async def test_while_stripe_is_down_the_request_is_kept_with_the_error(
    inbox: Inbox, mirror: Mirror, stripe_clock: StripeWithClock
) -> None:
    stripe_clock.status = 400
    await insert_request(inbox)
    await mirror.refetch("sub_1")
    row = await inbox.row("SELECT * FROM stripe_refetches")
    assert row["attempts"] == 1
    assert "HTTP 400" in row["last_error"]
    assert row["next_attempt_at"] > datetime.now(UTC) + timedelta(seconds=5)
    assert row["leased_until"] is None
    job = await inbox.row("SELECT entrypoint, execute_after FROM pgqueuer")
    assert (job["entrypoint"], job["execute_after"]) == ("refetch", row["next_attempt_at"])


async def test_the_payment_of_an_invoice_is_fetched_if_its_event_does_not_arrive(
    inbox: Inbox, mirror: Mirror, stripe_clock: StripeWithClock
) -> None:
    await inbox.deliver("customer.subscription.created", made.subscription())
    await inbox.deliver("invoice.paid", made.invoice())
    waiting = await inbox.row("SELECT * FROM stripe_refetches WHERE object_type = 'invoice'")
    assert waiting["reason"] == "awaited"
    payments = {"object": "list", "data": [made.invoice_payment()]}
    stripe_clock.objects["in_1"] = made.invoice(payments=payments)
    await mirror.refetch("in_1")
    assert (await inbox.subscription())["stripe_payment_intent_id"] == "pi_1"
    assert await inbox.pool.fetchval("SELECT count(*) FROM invoice_payments") == 1


VICTIM_ONCE = """
CREATE SEQUENCE tries;
CREATE FUNCTION be_the_victim() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF nextval('tries') = 1 THEN
        RAISE EXCEPTION 'deadlock detected' USING ERRCODE = 'deadlock_detected';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER victim BEFORE INSERT ON subscriptions EXECUTE FUNCTION be_the_victim()
"""


async def test_a_response_whose_transaction_fell_victim_to_a_deadlock_is_applied_again(
    inbox: Inbox, mirror: Mirror, stripe_clock: StripeWithClock
) -> None:
    await inbox.pool.execute(VICTIM_ONCE)
    stripe_clock.objects["sub_1"] = made.subscription(amount=900)
    await mirror.refresh("subscription", "sub_1")
    assert (await inbox.subscription())["amount"] == 900
    assert stripe_clock.asked == ["sub_1"]


@pytest.mark.parametrize("sooner", [0, 5], ids=["of the same second", "older"])
async def test_a_snapshot_that_is_not_newer_changes_no_invoice(inbox: Inbox, sooner: int) -> None:
    await inbox.deliver("invoice.paid", made.invoice(), created=T + 5)
    row = await inbox.row("SELECT * FROM invoices")
    opened = made.invoice(status="open", total=900)
    assert await inbox.deliver("invoice.finalized", opened, created=T + 5 - sooner) == "stale"
    assert await inbox.row("SELECT * FROM invoices") == row


async def test_a_response_dated_by_a_slow_clock_admits_no_older_event(
    inbox: Inbox, mirror: Mirror, stripe_clock: StripeWithClock
) -> None:
    """What replaces a snapshot is never dated earlier."""
    now = int(stripe_clock.now().timestamp())
    first = made.subscription(amount=800)
    await inbox.deliver("customer.subscription.updated", first, created=now + 60)
    stripe_clock.objects["sub_1"] = made.subscription(amount=900)
    await mirror.refresh("subscription", "sub_1")
    older = made.subscription(amount=1)
    assert await inbox.deliver("customer.subscription.updated", older, created=now + 30) == "stale"
    assert (await inbox.subscription())["amount"] == 900


async def test_an_event_from_the_time_of_a_fetch_is_refetched(
    inbox: Inbox, mirror: Mirror, stripe_clock: StripeWithClock
) -> None:
    stripe_clock.objects["sub_1"] = made.subscription(amount=900)
    await mirror.refresh("subscription", "sub_1")
    within = int((await inbox.subscription())["stripe_as_of"].timestamp()) - 1
    other = made.subscription(amount=1)
    await inbox.deliver("customer.subscription.updated", other, created=within)
    assert (await inbox.subscription())["amount"] == 900
    asked = await inbox.row("SELECT reason FROM stripe_refetches WHERE object_id = 'sub_1'")
    assert "undecided" in asked["reason"]


async def test_the_request_of_a_killed_worker_is_taken_over_when_its_lease_expires(
    inbox: Inbox, mirror: Mirror, stripe_clock: StripeWithClock
) -> None:
    stripe_clock.objects["sub_1"] = made.subscription()
    await insert_request(inbox)
    async with inbox.pool.acquire() as killed:
        await lease_refetch(killed, "sub_1", 120)
    await mirror.refetch("sub_1")
    assert stripe_clock.asked == []
    await inbox.pool.execute("UPDATE stripe_refetches SET leased_until = now() - interval '1 s'")
    await mirror.refetch("sub_1")
    assert stripe_clock.asked == ["sub_1"]


async def test_within_a_second_created_is_older_than_updated(
    inbox: Inbox,
) -> None:
    await inbox.deliver("customer.subscription.updated", made.subscription(amount=1299), created=T)
    first = made.subscription(amount=799)
    assert await inbox.deliver("customer.subscription.created", first, created=T) == "stale"
    assert (await inbox.subscription())["amount"] == 1299
    asked = "SELECT count(*) FROM stripe_refetches WHERE object_id = 'sub_1'"
    assert await inbox.pool.fetchval(asked) == 0


async def test_a_refetch_is_triggered_in_the_transaction_that_requests_it(inbox: Inbox) -> None:
    for amount in (1299, 799):
        update = made.subscription(amount=amount)
        await inbox.deliver("customer.subscription.updated", update, created=T)
    jobs = await inbox.pool.fetch("SELECT payload FROM pgqueuer WHERE entrypoint = 'refetch'")
    assert {job["payload"].decode() for job in jobs} == {"cus_1", "sub_1"}
