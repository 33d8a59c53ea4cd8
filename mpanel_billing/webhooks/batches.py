"""Natural batches: events that come while others are being written are written together next.

There is no timer: a lone event never waits. A batch is closed only once its transaction is open,
so what arrives during that round trip comes along. A transaction costs about the same for one
event as for thirty, so the busier the service is, the cheaper an event gets. Each event's answer
waits for its own commit. Why: docs/decisions/0004-natural-batches.md.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.mirror.service import Outcome
from mpanel_billing.webhooks.envelope import Event
from mpanel_billing.webhooks.service import receive_event, receive_events

logger = logging.getLogger(__name__)

MAX_BATCH = 32
"""Half of what 64 connections send: one half is written while the other is read and answered."""
WRITERS = 2
"""Batches under way at once: one that waits for a lock does not hold up all others."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    event: Event
    outcome: "asyncio.Future[Outcome]"


class EventBatcher:
    """Takes events one by one and writes them in batches; one for a web process."""

    def __init__(self, pool: Pool) -> None:
        """Write to the pool's database."""
        self._pool = pool
        self._waiting: deque[_Waiting] = deque()
        self._writers: set[asyncio.Task[None]] = set()
        self._at_work = 0
        self._collecting = False

    async def receive(self, event: Event) -> Outcome:
        """Return once the event is committed; DatabaseUnavailableError where it could not be."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(event, outcome))
        self._start_writer()
        return await outcome

    def _start_writer(self) -> None:
        """Start a writer, unless there are enough, or one is about to take what waits."""
        if self._waiting and not self._collecting and self._at_work < WRITERS:
            self._at_work += 1
            self._collecting = True
            writer = asyncio.create_task(self._write_batch())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)

    async def _write_batch(self) -> None:
        """Write one batch, and see to the next."""
        try:
            await self._collect_and_write()
        finally:
            self._at_work -= 1
        self._start_writer()

    async def _collect_and_write(self) -> None:
        batch: list[_Waiting] = []
        try:
            async with transaction(self._pool) as conn:
                batch = self._take_batch()
                outcomes = await receive_events(conn, [entry.event for entry in batch])
        except DatabaseUnavailableError as error:
            for entry in batch or self._take_batch():
                _fail(entry, error)
        except Exception:  # noqa: BLE001 - whatever it is, it is found out one by one
            await self._write_one_by_one(batch or self._take_batch())
        else:
            for entry in batch:
                _answer(entry, outcomes[entry.event.id])

    def _take_batch(self) -> list[_Waiting]:
        """Take what waits, in order of coming; a second event of one object waits on.

        What is left has the next writer start at once.
        """
        self._collecting = False
        batch: dict[str, _Waiting] = {}
        left: deque[_Waiting] = deque()
        while self._waiting and len(batch) < MAX_BATCH:
            entry = self._waiting.popleft()
            if entry.event.batch_key in batch:
                left.append(entry)
            else:
                batch[entry.event.batch_key] = entry
        self._waiting.extendleft(reversed(left))
        self._start_writer()
        return list(batch.values())

    async def _write_one_by_one(self, batch: Sequence[_Waiting]) -> None:
        if len(batch) > 1:
            logger.warning("a batch of %d events failed; applying them one by one", len(batch))
        for entry in batch:
            await _write_one(self._pool, entry)


async def _write_one(pool: Pool, entry: _Waiting) -> None:
    try:
        _answer(entry, await receive_event(pool, entry.event))
    except Exception as error:  # noqa: BLE001 - raised where the request waits for it
        _fail(entry, error)


def _answer(entry: _Waiting, outcome: Outcome) -> None:
    if not entry.outcome.done():  # the request may have been given up
        entry.outcome.set_result(outcome)


def _fail(entry: _Waiting, error: Exception) -> None:
    if not entry.outcome.done():
        entry.outcome.set_exception(error)
