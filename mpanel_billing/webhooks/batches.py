"""Natural batches: events that come while others are being written are written together next.

There is no timer: a lone event never waits. A commit costs PostgreSQL about the same for one
event as for fifty, so the busier the service is, the cheaper an event gets. Each event's answer
waits for its own commit. Why: docs/decisions/0004-natural-batches.md.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from mpanel_billing.database.pool import Pool
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.mirror.service import Outcome
from mpanel_billing.webhooks.envelope import Event
from mpanel_billing.webhooks.service import receive_event, receive_events

logger = logging.getLogger(__name__)

MAX_BATCH = 64
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

    async def receive(self, event: Event) -> Outcome:
        """Return once the event is committed; DatabaseUnavailableError where it could not be."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(event, outcome))
        if self._at_work < WRITERS:
            self._at_work += 1
            writer = asyncio.create_task(self._write_until_done())
            self._writers.add(writer)
            writer.add_done_callback(self._writers.discard)
        return await outcome

    async def _write_until_done(self) -> None:
        """Write while something waits; nothing may come between the last look and the count."""
        try:
            while batch := self._take_batch():
                await _write(self._pool, batch)
        finally:
            self._at_work -= 1

    def _take_batch(self) -> list[_Waiting]:
        """Take what waits, in order of coming; a second event of one object waits on."""
        batch: dict[str, _Waiting] = {}
        left: deque[_Waiting] = deque()
        while self._waiting and len(batch) < MAX_BATCH:
            entry = self._waiting.popleft()
            if entry.event.batch_key in batch:
                left.append(entry)
            else:
                batch[entry.event.batch_key] = entry
        self._waiting.extendleft(reversed(left))
        return list(batch.values())


async def _write(pool: Pool, batch: Sequence[_Waiting]) -> None:
    if len(batch) == 1:
        await _write_one(pool, batch[0])
        return
    try:
        outcomes = await receive_events(pool, [entry.event for entry in batch])
    except DatabaseUnavailableError as error:
        for entry in batch:
            _fail(entry, error)
    except Exception:  # noqa: BLE001 - whatever it is, it is found out one by one
        logger.warning("a batch of %d events failed; applying them one by one", len(batch))
        for entry in batch:
            await _write_one(pool, entry)
    else:
        for entry in batch:
            _answer(entry, outcomes[entry.event.id])


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
