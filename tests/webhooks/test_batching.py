"""Events that arrive together are written together, and each gets its own response."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.mirror.service import APPLIED
from mpanel_billing.settings import DatabaseSettings
from mpanel_billing.webhooks.batching import (
    MAX_BATCH,
    BatchQueue,
    EventBatcher,
    PendingEvent,
    Take,
    batch_size,
)
from mpanel_billing.webhooks.event import Event, parse_event
from mpanel_billing.webhooks.jsonb import Body
from tests import stripe_objects as made
from tests.inbox import Inbox


def update(number: int, *, amount: int = 799, created: int = 1_790_000_000) -> Event:
    subscription = made.subscription(f"sub_{number}", customer=f"cus_{number}", amount=amount)
    payload = made.event("customer.subscription.updated", subscription, created=created)
    return parse_event(Body.of(payload), livemode=False)


async def commits(inbox: Inbox) -> int:
    """Count the transactions that wrote events, by the rows' xmin."""
    count: int = await inbox.pool.fetchval("SELECT count(DISTINCT xmin::text) FROM stripe_events")
    return count


async def test_events_that_arrive_together_share_few_commits(inbox: Inbox) -> None:
    batcher = EventBatcher(inbox.pool)
    outcomes = await asyncio.gather(*(batcher.receive(update(n)) for n in range(100)))
    assert {o.status for o in outcomes} == {"applied"}
    assert await inbox.pool.fetchval("SELECT count(*) FROM subscriptions") == 100
    assert await commits(inbox) <= 6


async def test_two_events_of_one_object_never_share_a_batch(inbox: Inbox) -> None:
    batcher = EventBatcher(inbox.pool)
    updates = [update(1, amount=700 + n, created=1_790_000_000 + n) for n in range(10)]
    outcomes = await asyncio.gather(*(batcher.receive(event) for event in updates))
    assert {o.status for o in outcomes} <= {"applied", "stale"}
    assert (await inbox.subscription())["amount"] == 709
    assert await commits(inbox) == 10


async def test_a_bad_event_fails_alone(inbox: Inbox) -> None:
    await inbox.pool.execute("ALTER TABLE subscriptions ADD CONSTRAINT fault CHECK (amount <> 666)")
    batcher = EventBatcher(inbox.pool)
    events = [update(n, amount=666 if n == 7 else 799) for n in range(20)]
    outcomes = await asyncio.gather(*(batcher.receive(event) for event in events))
    assert [n for n, o in enumerate(outcomes) if o.status == "failed"] == [7]
    assert await inbox.pool.fetchval("SELECT count(*) FROM subscriptions") == 19
    assert await inbox.pool.fetchval("SELECT count(*) FROM stripe_events") == 20


async def test_the_same_event_twice_at_once_is_applied_once(inbox: Inbox) -> None:
    batcher = EventBatcher(inbox.pool)
    event = update(1)
    outcomes = await asyncio.gather(*(batcher.receive(event) for _ in range(8)))
    assert sorted(o.status for o in outcomes) == ["applied"] + ["duplicate"] * 7


async def test_an_event_after_a_quiet_time_is_written_too(inbox: Inbox) -> None:
    batcher = EventBatcher(inbox.pool)
    for number in range(5):
        await batcher.receive(update(number))
    await asyncio.gather(*(batcher.receive(update(number)) for number in range(5, 9)))
    assert await inbox.pool.fetchval("SELECT count(*) FROM subscriptions") == 9


async def test_a_cancelled_request_does_not_affect_the_others(inbox: Inbox) -> None:
    batcher = EventBatcher(inbox.pool)
    tasks = [asyncio.create_task(batcher.receive(update(n))) for n in range(6)]
    await asyncio.sleep(0)
    tasks[2].cancel()
    done = await asyncio.gather(*tasks, return_exceptions=True)
    assert [n for n, o in enumerate(done) if isinstance(o, asyncio.CancelledError)] == [2]
    assert await inbox.pool.fetchval("SELECT count(*) FROM subscriptions") == 6


async def test_when_nothing_can_be_kept_every_request_is_refused(inbox: Inbox) -> None:
    await inbox.pool.execute("ALTER TABLE stripe_events ADD CONSTRAINT full_disk CHECK (FALSE)")
    batcher = EventBatcher(inbox.pool)
    done = await asyncio.gather(
        *(batcher.receive(update(n)) for n in range(4)), return_exceptions=True
    )
    assert {type(o) for o in done} == {DatabaseUnavailableError}


async def test_without_a_database_every_request_is_refused_and_none_waits_for_ever() -> None:
    settings = DatabaseSettings(
        _env_file=None,  # type: ignore[call-arg]
        database_url="postgresql://nobody@127.0.0.1:1/none",
    )
    async with await create_pool(settings) as pool:
        batcher = EventBatcher(pool)
        for _ in range(2):
            done = await asyncio.gather(
                *(batcher.receive(update(n)) for n in range(40)), return_exceptions=True
            )
            assert {type(o) for o in done} == {DatabaseUnavailableError}


@pytest.mark.parametrize("count", [1, 2, 65, 200])
async def test_no_event_is_left_waiting(inbox: Inbox, count: int) -> None:
    batcher = EventBatcher(inbox.pool)
    outcomes = await asyncio.gather(*(batcher.receive(update(n)) for n in range(count)))
    assert len(outcomes) == count


async def test_a_queue_settles_on_halves(inbox: Inbox) -> None:
    """Sixteen clients that send an event after each response are written in batches of eight."""
    sizes: list[int] = []

    async def write(conn: Connection, take: Take) -> None:
        batch = take()
        sizes.append(len(batch))
        await conn.execute("SELECT 1")
        for entry in batch:
            entry.resolve(APPLIED)

    queue = BatchQueue(inbox.pool, write, writers=1)

    async def send(number: int) -> None:
        for _ in range(5):
            loop = asyncio.get_running_loop()
            entry = PendingEvent(update(number), None, loop.create_future())
            queue.put(entry)
            await entry.outcome

    await asyncio.gather(*(send(number) for number in range(16)))
    assert sizes == [8] * 10


def test_clients_that_send_after_each_response_end_up_in_two_halves() -> None:
    """Whatever the first batches were, one half is written while the other arrives."""
    for clients in (2, 7, 16, 40):
        waiting, last, sizes = clients, 0, []
        for _ in range(12):
            size = batch_size(waiting, last)
            waiting, last = clients - size, size  # the clients of written events send again
            sizes.append(size)
        assert max(sizes[-2:]) - min(sizes[-2:]) <= 1
        assert sum(sizes[-2:]) == clients


@pytest.mark.parametrize("waiting", [1, 2, 19, 20, 21, 1000])
@pytest.mark.parametrize("last", [0, 1, MAX_BATCH])
def test_a_batch_is_never_empty_nor_too_large(waiting: int, last: int) -> None:
    assert 1 <= batch_size(waiting, last) <= min(waiting, MAX_BATCH)


@dataclass
class Recorder:
    """A queue with one writer, which notes the connection of each batch."""

    pool: Pool
    used: list[int] = field(default_factory=list)
    lost: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._queue = BatchQueue(self.pool, self._write, writers=1)

    async def _write(self, conn: Connection, take: Take) -> None:
        self.used.append(await conn.fetchval("SELECT pg_backend_pid()"))
        conn.add_termination_listener(lambda _: self.lost.set())
        for entry in take():
            entry.resolve(APPLIED)

    async def send(self, number: int) -> None:
        entry = PendingEvent(update(number), None, asyncio.get_running_loop().create_future())
        self._queue.put(entry)
        await entry.outcome


async def test_a_writer_keeps_its_connection_between_events(inbox: Inbox) -> None:
    recorder = Recorder(inbox.pool)
    await recorder.send(1)
    idle = inbox.pool.get_idle_size()
    await recorder.send(2)
    assert recorder.used[0] == recorder.used[1]
    assert inbox.pool.get_idle_size() == idle


async def test_a_writer_without_events_gives_its_connection_back(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_back = asyncio.Event()
    release = inbox.pool.release

    async def released(conn: Any, **how: Any) -> None:
        await release(conn, **how)
        given_back.set()

    monkeypatch.setattr(inbox.pool, "release", released)
    recorder = Recorder(inbox.pool)
    await recorder.send(1)
    assert not given_back.is_set()
    async with asyncio.timeout(30):
        await given_back.wait()
    await recorder.send(2)


async def test_a_kept_connection_that_is_lost_costs_no_event(inbox: Inbox) -> None:
    recorder = Recorder(inbox.pool)
    await recorder.send(1)
    await inbox.pool.execute("SELECT pg_terminate_backend($1)", recorder.used[0])
    await recorder.lost.wait()
    await recorder.send(2)
    assert len(set(recorder.used)) == 2
