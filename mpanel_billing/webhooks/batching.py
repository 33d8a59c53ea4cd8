"""Receives events one by one, writes them in batches, returns each outcome once it is committed.

Events that arrive while a batch is being written form the next one. There is no timer: a lone event
never waits. A transaction costs about the same for one event as for thirty, so an event gets
cheaper under load.

There are two queues. Most events are written from the first, on the fast path; the rest go on to
the second, the full path, which can apply any event: by a decision on what is stored, or in a
transaction of several statements if even that does not do. Why:
docs/decisions/0004-natural-batches.md and 0007-fast-path-in-one-round-trip.md.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from mpanel_billing.database.pool import CONNECTION_ERRORS, Pool, acquired, is_open
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.mirror.service import Outcome
from mpanel_billing.telemetry.counters import count_batch
from mpanel_billing.webhooks.event import Event
from mpanel_billing.webhooks.fast_path import Received, receive_on_fast_path
from mpanel_billing.webhooks.full_path import LeftEvent, receive_decided
from mpanel_billing.webhooks.inbox import receive_event, receive_events
from mpanel_billing.webhooks.prepared import PreparedEvent, prepare_event
from mpanel_billing.webhooks.recent import RecentInvoices

logger = logging.getLogger(__name__)

FAST_PATH_WRITERS = 1
"""The fast path never waits long for a lock; a second writer would only make batches smaller."""
FULL_PATH_WRITERS = 2
"""So that a batch that waits for a lock does not block all others."""

KEPT_SECONDS = 0.05
"""How long a writer with nothing to do keeps its connection: to take one from the pool and to give
it back costs as much as the rest of writing a single event."""

MAX_BATCH = 20
"""A third of what 64 connections send: one part is written while the others are sent and read.
Larger batches save little and delay the events that arrive just after."""


def batch_size(waiting: int, last: int) -> int:
    """Return how many waiting events to take after a batch of `last`: about half of all in flight.

    The clients that just got a response are about to send their next events. With two equal
    halves, one is written while the other is sent and read; if a batch took everything that
    waits, they would wait for each other. So two events that arrive together after a pause are
    two batches.
    """
    return min(MAX_BATCH, waiting, (waiting + last + 1) // 2)


class Waiting(Protocol):
    """What waits for the outcome of an event, as a future does."""

    def done(self) -> bool:
        """Whether it waits no longer."""
        ...

    def set_result(self, outcome: Outcome, /) -> None:
        """Take the outcome of a committed event."""
        ...

    def set_exception(self, error: Exception, /) -> None:
        """Take the reason why there is none."""
        ...


@dataclass(frozen=True, slots=True)
class PendingEvent:
    """An event, and what waits for its outcome.

    `prepared` is set if the event may take the fast path, `left` once that has not done it.
    """

    event: Event
    prepared: PreparedEvent | None
    outcome: Waiting
    left: LeftEvent | None = None

    def resolve(self, outcome: Outcome) -> None:
        """Hand the outcome to the request, unless it was cancelled."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def fail(self, error: Exception) -> None:
        """Raise an error in the request."""
        if not self.outcome.done():
            self.outcome.set_exception(error)


Take = Callable[[], Sequence[PendingEvent]]
"""Closes a batch and returns it: events of different objects."""

Write = Callable[[Connection, Take], Awaitable[None]]
"""Writes one batch over a connection; resolves each event it takes, or passes it on.

An error that it raises means that the database is unavailable.
"""


class BatchQueue:
    """A queue of events that a few writers empty, batch after batch."""

    def __init__(self, pool: Pool, write: Write, *, writers: int) -> None:
        """Run up to `writers` writers at once, each with its own connection."""
        self._pool = pool
        self._write = write
        self._max_writers = writers
        self._waiting: deque[PendingEvent] = deque()
        self._writers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[bool]] = []  # of writers; the result: there is an event
        self._collecting = False
        self._last = 0  # the size of the last batch of any writer

    def put(self, entry: PendingEvent) -> None:
        """Add an event; an idle writer takes it at once."""
        self._waiting.append(entry)
        self._start_writer()

    def _start_writer(self) -> None:
        """Start a writer unless all are running or one is about to take what is waiting."""
        if not self._waiting or self._collecting:
            return
        if self._idle:
            self._collecting = True
            self._idle.pop().set_result(True)
        elif len(self._writers) < self._max_writers:
            self._collecting = True
            writer = asyncio.create_task(self._work())
            self._writers.add(writer)
            writer.add_done_callback(self._end_writer)

    def _end_writer(self, writer: "asyncio.Task[None]") -> None:
        """Start another writer for events left by one that lost its connection."""
        self._writers.discard(writer)
        self._start_writer()

    async def _work(self) -> None:
        """Write batches until the queue has been empty for a while.

        The connection is kept between batches, so that PostgreSQL is not idle for a turn of the
        event loop.
        """
        batch: list[PendingEvent] = []

        def take() -> Sequence[PendingEvent]:
            batch.extend(self._take())
            return batch

        try:
            async with acquired(self._pool) as conn:
                while await self._has_more(conn):
                    self._collecting = True
                    await self._write(conn, take)
                    batch.clear()
        except DatabaseUnavailableError as error:
            for entry in batch or self._take_all():  # without a connection, everything queued fails
                entry.fail(error)
        finally:
            self._collecting = False  # at worst another writer finds nothing

    async def _has_more(self, conn: Connection) -> bool:
        """Wait for an event; False if none comes, or the connection is lost."""
        while not self._waiting:
            if not await self._is_woken():
                return False
            self._collecting = bool(self._waiting)  # else another writer was faster
        return is_open(conn)

    async def _is_woken(self) -> bool:
        """Wait for `put`, for KEPT_SECONDS at most."""
        loop = asyncio.get_running_loop()
        idle: asyncio.Future[bool] = loop.create_future()
        self._idle.append(idle)
        timer = loop.call_later(KEPT_SECONDS, self._release, idle)
        try:
            return await idle
        finally:
            timer.cancel()
            if idle in self._idle:
                self._idle.remove(idle)

    def _release(self, idle: "asyncio.Future[bool]") -> None:
        """Let a writer go that has waited long enough."""
        if not idle.done():
            self._idle.remove(idle)
            idle.set_result(False)

    def _take_all(self) -> list[PendingEvent]:
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting

    def _take(self) -> list[PendingEvent]:
        """Take waiting events in order of arrival, one per object; start a writer for the rest."""
        self._collecting = False
        batch: dict[str, PendingEvent] = {}
        left: deque[PendingEvent] = deque()
        most = batch_size(len(self._waiting), self._last)
        while self._waiting and len(batch) < most:
            entry = self._waiting.popleft()
            if entry.event.batch_key in batch:
                left.append(entry)
            else:
                batch[entry.event.batch_key] = entry
        self._waiting.extendleft(reversed(left))
        self._last = len(batch)
        self._start_writer()
        return list(batch.values())


class EventBatcher:
    """Receives the events of a web process and writes them in batches.

    `fast_path_events` counts those that took the fast path.
    """

    def __init__(self, pool: Pool) -> None:
        """Write to the pool's database."""
        self.fast_path_events = 0
        self._pool = pool
        self._recent = RecentInvoices()
        self._fast_path = BatchQueue(pool, self._write_fast_path, writers=FAST_PATH_WRITERS)
        self._full_path = BatchQueue(pool, self._write_full_path, writers=FULL_PATH_WRITERS)

    async def receive(self, event: Event) -> Outcome:
        """Return once the event is committed; DatabaseUnavailableError if it could not be."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.begin(event, outcome)
        return await outcome

    def begin(self, event: Event, outcome: Waiting) -> None:
        """Hand the outcome over once the event is committed, or the error of `receive`."""
        prepared = prepare_event(event)
        stored = self._recent.find(prepared) if prepared else None
        left = LeftEvent(prepared, stored, seen=True) if prepared and stored else None
        queue = self._fast_path if prepared and not left else self._full_path
        queue.put(PendingEvent(event, prepared, outcome, left))

    async def _write_fast_path(self, conn: Connection, take: Take) -> None:
        """Write what can take the fast path, and pass the rest on."""
        batch = take()
        started = time.perf_counter()
        events = [entry.prepared for entry in batch if entry.prepared]
        received = await receive_on_fast_path(conn, events)
        self._recent.note_all(events, received.written)
        if received.outcomes:
            self.fast_path_events += len(received.outcomes)
            count_batch(len(received.outcomes), time.perf_counter() - started)
        for entry in batch:
            if outcome := received.outcomes.get(entry.event.id):
                entry.resolve(outcome)
            else:
                self._full_path.put(_left(entry, received))

    async def _write_full_path(self, conn: Connection, take: Take) -> None:
        """Write any events: those left to a decision, then the rest in one transaction.

        If either fails, each event gets a transaction of its own.
        """
        batch = take()
        started = time.perf_counter()
        outcomes: dict[str, Outcome] = {}
        try:
            outcomes |= await receive_decided(conn, [e.left for e in batch if e.left], self._recent)
            rest = [entry.event for entry in batch if entry.event.id not in outcomes]
            outcomes |= await _receive_rest(conn, rest)
        except CONNECTION_ERRORS:
            _resolve(batch, outcomes)
            raise
        except Exception:  # noqa: BLE001 - writing them one by one shows which event failed
            _resolve(batch, outcomes)
            await self._write_one_by_one([e for e in batch if e.event.id not in outcomes])
        else:
            count_batch(len(batch), time.perf_counter() - started)
            _resolve(batch, outcomes)

    async def _write_one_by_one(self, batch: Sequence[PendingEvent]) -> None:
        if len(batch) > 1:
            logger.warning("a batch of %d events failed; applying them one by one", len(batch))
        for entry in batch:
            try:
                entry.resolve(await receive_event(self._pool, entry.event))
            except Exception as error:  # noqa: BLE001 - raised in the waiting request
                entry.fail(error)


def _left(entry: PendingEvent, received: Received) -> PendingEvent:
    """Return an event that the fast path has not done, with what it knows of it."""
    event_id = entry.event.id
    if entry.prepared is None or event_id in received.broken:
        return entry
    is_seen = event_id in received.left
    left = LeftEvent(entry.prepared, received.left.get(event_id), seen=is_seen)
    return replace(entry, left=left)


async def _receive_rest(conn: Connection, events: Sequence[Event]) -> Mapping[str, Outcome]:
    """Keep and apply events in one transaction; what has no effect is kept by one statement."""
    if not events:
        return {}
    if not any(event.has_effect for event in events):
        return await receive_events(conn, events)
    async with conn.transaction():
        return await receive_events(conn, events)


def _resolve(batch: Sequence[PendingEvent], outcomes: Mapping[str, Outcome]) -> None:
    for entry in batch:
        if outcome := outcomes.get(entry.event.id):
            entry.resolve(outcome)
