"""Natural batches: what comes while others are being written is written together next.

There is no timer: a lone event never waits. A transaction costs about the same for one event as
for thirty, so the busier the service is, the cheaper an event gets. Why:
docs/decisions/0004-natural-batches.md.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.mirror.service import Outcome
from mpanel_billing.webhooks.event import Event
from mpanel_billing.webhooks.fast_path import RoutineEvent

MAX_BATCH = 20
"""A third of what 64 connections send: one part is written while the others are read and answered.
Larger ones cost little less, and make whoever comes just after wait for longer."""


def batch_size(waiting: int, last: int) -> int:
    """Tell how many of those waiting to take, after a batch of `last`: about half of them all.

    Those answered just now are about to send the next ones. With halves alike, one is written
    while the other is read and answered; whoever takes all that waits has each of the two wait
    for the other. Two that come together after a rest are two batches, then.
    """
    return min(MAX_BATCH, waiting, (waiting + last + 1) // 2)


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event, and the request that waits for what becomes of it.

    `routine` is the event made ready for the short way, if it may take that.
    """

    event: Event
    routine: RoutineEvent | None
    outcome: "asyncio.Future[Outcome]"

    def answer(self, outcome: Outcome) -> None:
        """Tell the request, unless it has been given up."""
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def fail(self, error: Exception) -> None:
        """Raise where the request waits."""
        if not self.outcome.done():
            self.outcome.set_exception(error)


Take = Callable[[], Sequence[Waiting]]
"""Closes a batch: answers what waits, of each object one event."""

Write = Callable[[Connection, Take], Awaitable[None]]
"""Writes one batch over a connection; whatever it takes it answers, or hands on.

What it raises says that the database is away.
"""


class Lane:
    """A queue of events that a few writers empty, batch after batch."""

    def __init__(self, pool: Pool, write: Write, *, writers: int) -> None:
        """Let at most so many writers work at once, each over a connection of its own."""
        self._pool = pool
        self._write = write
        self._most = writers
        self._waiting: deque[Waiting] = deque()
        self._writers: set[asyncio.Task[None]] = set()
        self._collecting = False
        self._last = 0  # the size of the last batch, whichever writer took it

    def put(self, entry: Waiting) -> None:
        """Add an event; a writer that is free takes it at once."""
        self._waiting.append(entry)
        self._start_writer()

    def _start_writer(self) -> None:
        """Start a writer, unless there are enough, or one is about to take what waits."""
        if self._waiting and not self._collecting and len(self._writers) < self._most:
            self._collecting = True
            writer = asyncio.create_task(self._work())
            self._writers.add(writer)
            writer.add_done_callback(self._end_writer)

    def _end_writer(self, writer: "asyncio.Task[None]") -> None:
        """See to what a writer has left, because its connection was lost."""
        self._writers.discard(writer)
        self._start_writer()

    async def _work(self) -> None:
        """Write until nothing waits any more.

        The connection is kept from batch to batch: between two of them lies no turn of the event
        loop, in which PostgreSQL would have nothing to do.
        """
        batch: list[Waiting] = []

        def take() -> Sequence[Waiting]:
            batch.extend(self._take())
            return batch

        try:
            async with acquired(self._pool) as conn:
                while self._waiting:
                    self._collecting = True
                    await self._write(conn, take)
                    batch.clear()
        except DatabaseUnavailableError as error:
            for entry in batch or self._take_all():
                entry.fail(error)
        finally:
            self._collecting = False  # whatever has happened; at worst a writer finds nothing

    def _take_all(self) -> list[Waiting]:
        """Take whatever waits: no connection is to be had, and so all of it has waited in vain."""
        waiting = list(self._waiting)
        self._waiting.clear()
        return waiting

    def _take(self) -> list[Waiting]:
        """Take what waits, in order of coming; a second event of one object waits on.

        What is left has the next writer start at once.
        """
        self._collecting = False
        batch: dict[str, Waiting] = {}
        left: deque[Waiting] = deque()
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
