"""The fast path: most events are kept and applied in one round trip to the database.

It takes events whose order is clear: those of objects that are not mirrored yet, and those that are
newer than their row by a later second. The database finds out which those are, in the transaction
that writes them. It leaves the others, and returns what is stored of their objects: the full path
decides on it. Why: docs/decisions/0007-fast-path-in-one-round-trip.md and
0031-first-sights-in-one-round-trip.md.
"""

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import asyncpg
import orjson

from mpanel_billing.database.pool import CONNECTION_ERRORS
from mpanel_billing.database.queries import Connection
from mpanel_billing.jobs.queue import trigger_headers
from mpanel_billing.mirror.locks import lock_keys
from mpanel_billing.mirror.mirrored_type import Row
from mpanel_billing.mirror.repository import stored_row
from mpanel_billing.mirror.service import Outcome
from mpanel_billing.telemetry.quoting import sentence_of
from mpanel_billing.webhooks import repository
from mpanel_billing.webhooks.inbox import DUPLICATE
from mpanel_billing.webhooks.prepared import PreparedEvent

logger = logging.getLogger(__name__)

_MOST_LOCKED = 2
"""How many locked rows of a batch are waited for, a tenth of a second each."""
_LEFT = "left"
"""The outcome of an event that the database has not applied."""


@dataclass(slots=True)
class Received:
    """What became of events: outcomes by id of those that are committed.

    `written`: of those that were applied, what identifies the row as they have left it. `left`:
    what is stored of the objects of those that the database has left to be decided, None if nothing
    is. `broken`: the ids of those that cannot be written.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    left: dict[str, Row | None] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)

    def add(self, other: "Received") -> None:
        """Add what became of other events."""
        self.outcomes |= other.outcomes
        self.written |= other.written
        self.left |= other.left
        self.broken |= other.broken


async def receive_on_fast_path(conn: Connection, events: Sequence[PreparedEvent]) -> Received:
    """Keep and apply the events that can take the fast path; the others are untouched.

    The events must be of different objects, and `conn` in no transaction. If some of them cannot be
    written, the others still are, one by one.
    """
    received = await _attempt(conn, events)
    if received is not None:
        return received
    received, locked = Received(), 0
    for each in events:
        alone = await _attempt(conn, [each])
        locked += alone is None
        if locked == _MOST_LOCKED:
            break
        received.add(alone or Received())
    return received


async def _attempt(conn: Connection, events: Sequence[PreparedEvent]) -> Received | None:
    """Try events together; None if one of several cannot be written, or a row is locked."""
    try:
        return await receive(conn, events, waits=False)
    except asyncpg.LockNotAvailableError:
        return None  # another transaction is changing a row: the full path waits for it
    except CONNECTION_ERRORS:
        raise
    except asyncpg.PostgresError as error:
        logger.info("%d events cannot be written: %s", len(events), sentence_of(error))
        return Received(broken={events[0].event.id}) if len(events) == 1 else None


async def receive(conn: Connection, events: Sequence[PreparedEvent], *, waits: bool) -> Received:
    """Keep and apply those events whose order is clear or was decided, by one statement.

    Unless it `waits`, those whose locks another transaction has are neither done nor left.
    """
    rows: defaultdict[str, list[orjson.Fragment]] = defaultdict(list)
    for each in events:
        rows[each.group].append(each.row)
    found = await repository.receive_events(
        conn, events, rows, _locks(events, waits=waits), waits=waits, headers=trigger_headers()
    )
    return _read(events, found)


def _locks(events: Sequence[PreparedEvent], *, waits: bool) -> tuple[list[str], list[str]]:
    """Return what to lock, and for which object; in the global order if it waits."""
    if waits:
        return lock_keys(each.event.snapshot for each in events if each.event.snapshot), []
    keys = [key for each in events for key in each.keys]
    return keys, [each.object_id for each in events for _ in each.keys]


def _read(events: Sequence[PreparedEvent], found: Sequence[asyncpg.Record]) -> Received:
    expected = {each.event.id: each.outcome for each in events}
    received = Received()
    for row in found:
        if row["outcome"] == _LEFT:
            received.left[row["id"]] = stored_row(row) if row["facts"] else None
        elif row["outcome"] == DUPLICATE.status:
            received.outcomes[row["id"]] = DUPLICATE
        else:
            received.outcomes[row["id"]] = expected[row["id"]]
            if row["seen"] is not None:
                received.written[row["id"]] = row["seen"]
    return received
