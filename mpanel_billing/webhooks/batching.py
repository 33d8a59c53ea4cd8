"""Takes events one by one, writes them together, answers each once it is committed.

There are two lanes. Most events are written in the first one, in a single round trip; what that
leaves untouched goes on to the second, which applies anything. Why:
docs/decisions/0004-natural-batches.md and 0007-routine-events-in-one-round-trip.md.
"""

import asyncio
import logging
import time
from collections.abc import Sequence

from mpanel_billing.database.pool import CONNECTION_ERRORS, Pool
from mpanel_billing.database.queries import Connection
from mpanel_billing.mirror.service import APPLIED, Outcome
from mpanel_billing.telemetry.counters import count_batch
from mpanel_billing.webhooks.event import Event
from mpanel_billing.webhooks.fast_path import as_routine, receive_routine
from mpanel_billing.webhooks.lanes import Lane, Take, Waiting
from mpanel_billing.webhooks.service import receive_event, receive_events

logger = logging.getLogger(__name__)

ROUTINE_WRITERS = 1
"""It waits for nobody for long: a second writer would only make the batches smaller."""
ORDINARY_WRITERS = 2
"""A batch that waits for a lock does not hold up all others."""


class EventBatcher:
    """Takes events one by one and writes them in batches; one for a web process.

    `routine_events` counts those that took the short way.
    """

    def __init__(self, pool: Pool) -> None:
        """Write to the pool's database."""
        self.routine_events = 0
        self._pool = pool
        self._routine = Lane(pool, self._write_routine, writers=ROUTINE_WRITERS)
        self._ordinary = Lane(pool, self._write_ordinary, writers=ORDINARY_WRITERS)

    async def receive(self, event: Event) -> Outcome:
        """Return once the event is committed; DatabaseUnavailableError where it could not be."""
        entry = Waiting(event, as_routine(event), asyncio.get_running_loop().create_future())
        lane = self._routine if entry.routine else self._ordinary
        lane.put(entry)
        return await entry.outcome

    async def _write_routine(self, conn: Connection, take: Take) -> None:
        """Write what is routine, and hand the rest on."""
        batch = take()
        started = time.perf_counter()
        done = await receive_routine(conn, [entry.routine for entry in batch if entry.routine])
        if done:
            self.routine_events += len(done)
            count_batch(len(done), time.perf_counter() - started)
        for entry in batch:
            if entry.event.id in done:
                entry.answer(APPLIED)
            else:
                self._ordinary.put(entry)

    async def _write_ordinary(self, conn: Connection, take: Take) -> None:
        """Write any events in a transaction; where that fails, each in one of its own.

        The batch is closed only once the transaction is open: what arrives during that round trip
        comes along.
        """
        batch: Sequence[Waiting] = ()
        try:
            async with conn.transaction():
                batch = take()
                started = time.perf_counter()
                outcomes = await receive_events(conn, [entry.event for entry in batch])
        except CONNECTION_ERRORS:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it is found out one by one
            await self._write_one_by_one(batch or take())
        else:
            count_batch(len(batch), time.perf_counter() - started)
            for entry in batch:
                entry.answer(outcomes[entry.event.id])

    async def _write_one_by_one(self, batch: Sequence[Waiting]) -> None:
        if len(batch) > 1:
            logger.warning("a batch of %d events failed; applying them one by one", len(batch))
        for entry in batch:
            try:
                entry.answer(await receive_event(self._pool, entry.event))
            except Exception as error:  # noqa: BLE001 - raised where the request waits for it
                entry.fail(error)
