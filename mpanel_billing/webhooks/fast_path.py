"""The fast path: most events are kept and applied in one round trip to the database.

It takes events whose snapshot is newer than its row by a later second and affects nothing derived:
the renewals of a continuing subscription, and its invoices. The database decides which those are,
in the transaction that writes them; it leaves the others for the full path. Why:
docs/decisions/0007-fast-path-in-one-round-trip.md.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
import orjson

from mpanel_billing.database.pool import CONNECTION_ERRORS, encode_json
from mpanel_billing.database.queries import Connection
from mpanel_billing.mirror.rows import row_of
from mpanel_billing.mirror.service import APPLIED, is_first, lock_keys
from mpanel_billing.mirror.snapshot import Snapshot
from mpanel_billing.mirror.types import MIRRORED, MIRRORED_BY_NAME
from mpanel_billing.telemetry.quoting import sentence_of
from mpanel_billing.webhooks import repository
from mpanel_billing.webhooks.event import Event
from mpanel_billing.webhooks.inbox import inbox_row

logger = logging.getLogger(__name__)

_OBJECT_TYPES = tuple(each.object_type for each in MIRRORED if each.fast_path is not None)


class FastPathEvent(NamedTuple):
    """An event that may take the fast path, with its rows serialized for the database.

    They are serialized on arrival, while the database writes the previous batch; between two
    batches the database would have to wait for it.
    """

    id: str
    object_type: str
    keys: Sequence[str]
    inbox_row: orjson.Fragment
    mirror_row: orjson.Fragment
    payload: str


def prepare_fast_path(event: Event) -> FastPathEvent | None:
    """Prepare an event for the fast path; None if it needs the full path in any case."""
    snapshot = event.snapshot
    if snapshot is None or not _may_take_fast_path(snapshot):
        return None
    try:
        mirror_row = encode_json(row_of(snapshot))
    except orjson.JSONEncodeError:
        return None  # an amount beyond 64 bits: the full path keeps the event with its error
    return FastPathEvent(
        id=event.id,
        object_type=snapshot.object_type,
        keys=lock_keys([snapshot]),
        inbox_row=orjson.Fragment(encode_json(inbox_row(event, APPLIED))),
        mirror_row=orjson.Fragment(mirror_row),
        payload=event.payload,
    )


def _may_take_fast_path(snapshot: Snapshot) -> bool:
    """Whether the snapshot alone is enough to write the rows, if its subscription is known."""
    version = snapshot.version
    if version.test_clock or is_first(snapshot):
        return False
    may = MIRRORED_BY_NAME[snapshot.object_type].fast_path
    return may is not None and may(snapshot.facts)


async def receive_on_fast_path(conn: Connection, events: Sequence[FastPathEvent]) -> set[str]:
    """Keep and apply the events that can take the fast path, and return their ids.

    The events must be of different objects. Those returned are committed, so `conn` must not be in
    a transaction; the others are untouched.
    """
    rows = {
        object_type: [event.mirror_row for event in events if event.object_type == object_type]
        for object_type in _OBJECT_TYPES
    }
    try:
        return await repository.receive_events(
            conn,
            [event.inbox_row for event in events],
            [event.payload for event in events],
            rows,
            [key for event in events for key in event.keys],
        )
    except asyncpg.LockNotAvailableError:
        # another transaction is changing a row: the full path waits without blocking others
        return set()
    except CONNECTION_ERRORS:
        raise
    except asyncpg.PostgresError as error:
        # an event is in the inbox already or cannot be written: the full path finds out which
        logger.info("%d events take the full path: %s", len(events), sentence_of(error))
        return set()
