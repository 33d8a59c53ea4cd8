"""The short way of an event: most are kept and applied in one round trip to the database.

Routine is what is newer than its row by a later second, and moves nothing that is derived: the
renewals of a subscription that goes on, and the invoices of one. The database decides which those
are, in the transaction that writes them; whatever it leaves goes the ordinary way. Why:
docs/decisions/0007-routine-events-in-one-round-trip.md.
"""

import logging
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg
import orjson

from mpanel_billing.database.pool import CONNECTION_ERRORS, encode_json
from mpanel_billing.database.queries import Connection
from mpanel_billing.mirror.rows import row_of
from mpanel_billing.mirror.service import APPLIED, lock_keys
from mpanel_billing.mirror.snapshot import Snapshot
from mpanel_billing.mirror.types import MIRRORED, MIRRORED_BY_NAME
from mpanel_billing.webhooks import repository
from mpanel_billing.webhooks.event import Event
from mpanel_billing.webhooks.service import inbox_row

logger = logging.getLogger(__name__)

_OBJECT_TYPES = tuple(each.object_type for each in MIRRORED if each.fast_path is not None)


class RoutineEvent(NamedTuple):
    """An event that may be routine, with its rows as the JSON that the database takes.

    They are written as the event comes, while the database is busy with those before it: between
    two batches it would wait for us.
    """

    id: str
    object_type: str
    keys: Sequence[str]
    inbox_row: orjson.Fragment
    mirror_row: orjson.Fragment
    payload: str


def as_routine(event: Event) -> RoutineEvent | None:
    """Make an event ready for the short way; None where the database need not be asked."""
    snapshot = event.snapshot
    if snapshot is None or not _may_be_routine(snapshot):
        return None
    try:
        mirror_row = encode_json(row_of(snapshot))
    except orjson.JSONEncodeError:
        return None  # a sum beyond 64 bits: the ordinary way keeps the event, with what is wrong
    return RoutineEvent(
        id=event.id,
        object_type=snapshot.object_type,
        keys=lock_keys([snapshot]),
        inbox_row=orjson.Fragment(encode_json(inbox_row(event, APPLIED))),
        mirror_row=orjson.Fragment(mirror_row),
        payload=event.payload,
    )


def _may_be_routine(snapshot: Snapshot) -> bool:
    """Whether the database needs to be told of nothing but the snapshot."""
    may = MIRRORED_BY_NAME[snapshot.object_type].fast_path
    return may is not None and may(snapshot.facts)


async def receive_routine(conn: Connection, events: Sequence[RoutineEvent]) -> set[str]:
    """Keep and apply the routine ones of events of different objects; answer their ids.

    Those answered are committed when this returns, so `conn` is in no transaction. The others are
    untouched.
    """
    rows = {
        object_type: [event.mirror_row for event in events if event.object_type == object_type]
        for object_type in _OBJECT_TYPES
    }
    try:
        return await repository.receive_routine(
            conn,
            [event.inbox_row for event in events],
            [event.payload for event in events],
            rows,
            [key for event in events for key in event.keys],
        )
    except asyncpg.LockNotAvailableError:
        # somebody changes one of the rows: the ordinary way waits for him, and holds up nobody
        return set()
    except CONNECTION_ERRORS:
        raise
    except asyncpg.PostgresError as error:
        # one is in the inbox already, or cannot be written: the ordinary way finds out which
        logger.info("%d events go the ordinary way: %s", len(events), error)
        return set()
