"""Payloads of events, and the events themselves, by age."""

import asyncio

import asyncpg
import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.errors import ConflictError
from mpanel_billing.retention.repository import COUNTED_UP_TO
from mpanel_billing.retention.service import count_prunable, prune
from mpanel_billing.webhooks.inbox import list_events, show_event
from mpanel_billing.webhooks.replaying import replay_event
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.retention.conftest import AGES, Cellar

DONE = ("applied", "stale", "ignored")


async def test_a_payload_goes_at_its_age_and_the_event_at_a_greater_one(
    pool: Pool, cellar: Cellar
) -> None:
    for status in DONE:
        for days in (89, 91, 399, 401):
            await cellar.put_events(days, status=status)
    pruned = await prune(pool, AGES)
    assert (pruned["event_payloads"], pruned["events"]) == (9, 3)
    assert await cellar.count("stripe_events", "payload IS NOT NULL") == 3
    assert await cellar.count("stripe_events") == 9


async def test_an_event_that_failed_or_waits_is_never_pruned(pool: Pool, cellar: Cellar) -> None:
    for status in ("received", "failed"):
        await cellar.put_events(3650, status=status)
    assert not any((await prune(pool, AGES)).values())
    assert await cellar.count("stripe_events", "payload IS NOT NULL") == 2


@pytest.mark.parametrize("status", ["received", "failed"])
async def test_the_database_itself_keeps_the_payload_of_an_event_that_is_not_done(
    pool: Pool, cellar: Cellar, status: str
) -> None:
    await cellar.put_events(91, status=status)
    with pytest.raises(asyncpg.CheckViolationError, match="stripe_events_payload_check"):
        await pool.execute("UPDATE stripe_events SET payload = NULL")


async def test_an_event_that_failed_for_longer_than_payloads_are_kept_goes_in_the_end(
    pool: Pool, cellar: Cellar
) -> None:
    await cellar.put_events(95, status="failed")
    await cellar.put_events(94)
    await prune(pool, AGES)
    await pool.execute("UPDATE stripe_events SET status = 'applied', applied_at = now()")
    await prune(pool, AGES)
    assert await cellar.count("stripe_events", "payload IS NOT NULL") == 1
    await pool.execute("UPDATE stripe_events SET received_at = received_at - interval '310 days'")
    await prune(pool, AGES)
    assert await cellar.count("stripe_events") == 0


async def test_many_batches_take_everything_and_are_counted(pool: Pool, cellar: Cellar) -> None:
    await cellar.put_events(500, count=2500)
    await cellar.put_events(100, count=1500)
    assert (await count_prunable(pool, AGES))["event_payloads"] == 4000
    pruned = await prune(pool, AGES)
    assert (pruned["event_payloads"], pruned["events"]) == (4000, 2500)
    noted = await pool.fetch("SELECT subject, pruned_rows FROM billing_retention")
    assert dict(noted) == {**dict.fromkeys(pruned, 0), "event_payloads": 4000, "events": 2500}
    assert not any((await prune(pool, AGES)).values())


async def test_a_whole_batch_of_the_same_time_is_pruned(pool: Pool, cellar: Cellar) -> None:
    await cellar.put_events(500, count=2500)
    await pool.execute("UPDATE stripe_events SET received_at = now() - interval '500 days'")
    pruned = await prune(pool, AGES)
    assert (pruned["event_payloads"], pruned["events"]) == (2500, 2500)


async def test_pruners_at_once_do_it_once(pool: Pool, cellar: Cellar) -> None:
    await cellar.put_events(500, count=5000)
    runs = await asyncio.gather(*(prune(pool, AGES) for _ in range(4)))
    assert sum(run["event_payloads"] for run in runs) <= 5000
    assert sum(run["events"] for run in runs) == 5000
    assert await cellar.count("stripe_events") == 0


async def test_locked_rows_are_skipped_without_waiting(pool: Pool, cellar: Cellar) -> None:
    await cellar.put_events(500, count=3)
    async with pool.acquire() as other, other.transaction():
        await other.execute("SELECT FROM stripe_events WHERE object_id = 'in_2' FOR UPDATE")
        pruned = await prune(pool, AGES)
        assert (pruned["event_payloads"], pruned["events"]) == (2, 2)
    assert (await prune(pool, AGES))["events"] == 1


async def test_a_stopped_run_is_continued(pool: Pool, cellar: Cellar) -> None:
    await cellar.put_events(500, count=1500)
    stop = asyncio.Event()
    stop.set()
    assert not any((await prune(pool, AGES, stop=stop)).values())
    assert (await prune(pool, AGES))["events"] == 1500


async def test_counting_ends_at_a_limit(pool: Pool, cellar: Cellar) -> None:
    await cellar.put_events(500, count=COUNTED_UP_TO + 500)
    counts = await count_prunable(pool, AGES)
    assert counts["events"] == COUNTED_UP_TO + 1


async def test_a_pruned_event_is_listed_and_shown_and_not_applied_again(
    pool: Pool, cellar: Cellar
) -> None:
    await cellar.put_events(91, status="ignored")
    await prune(pool, AGES)
    [row] = await list_events(pool, None, 10)
    assert (await show_event(pool, row["id"]))["payload"] is None
    with pytest.raises(ConflictError, match="has been pruned"):
        await replay_event(Inbox(pool).mirror, row["id"])
    assert await cellar.count("stripe_events", "status = 'ignored'") == 1


async def test_a_pruned_event_still_does_not_take_effect_twice(pool: Pool, inbox: Inbox) -> None:
    event = made.event("customer.subscription.created", made.subscription())
    assert await inbox.receive(event) == "applied"
    await pool.execute("UPDATE stripe_events SET received_at = now() - interval '91 days'")
    await prune(pool, AGES)
    assert await inbox.receive(event) == "duplicate"


async def test_a_snapshot_of_the_second_of_a_pruned_event_is_refetched(
    pool: Pool, inbox: Inbox
) -> None:
    """Nothing is left to compare it with, so it is refetched, as in any tie."""
    first, second = (made.subscription(amount=amount) for amount in (799, 899))
    await inbox.deliver("customer.subscription.updated", first, created=1_790_000_100)
    await pool.execute("UPDATE stripe_events SET received_at = now() - interval '91 days'")
    assert (await prune(pool, AGES))["event_payloads"] == 1
    previous = {"items": first["items"]}
    await inbox.deliver(
        "customer.subscription.updated", second, created=1_790_000_100, previous=previous
    )
    asked = await pool.fetch("SELECT object_id FROM stripe_refetches WHERE reason <> 'awaited'")
    assert "sub_1" in {row["object_id"] for row in asked}


async def test_an_event_whose_row_is_gone_is_stale_when_it_arrives_again(
    pool: Pool, inbox: Inbox
) -> None:
    """Stripe never sends one that old; if one arrives, the mirror is newer."""
    old = made.event(
        "customer.subscription.created", made.subscription(amount=799), created=1_790_000_000
    )
    await inbox.receive(old)
    newer = made.subscription(amount=899)
    await inbox.deliver("customer.subscription.updated", newer, created=1_790_000_100)
    await pool.execute("UPDATE stripe_events SET received_at = now() - interval '500 days'")
    assert (await prune(pool, AGES))["events"] == 2
    assert await inbox.receive(old) == "stale"
    assert (await inbox.subscription())["amount"] == 899
