"""The fast path: most events are kept and applied in one round trip to the database.

It takes events whose order is clear: those of objects that are not mirrored yet, and those that are
newer than their row by a later second. The database finds out which those are, in the transaction
that writes them; it leaves the others for the full path. Why:
docs/decisions/0007-fast-path-in-one-round-trip.md and 0031-first-sights-in-one-round-trip.md.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import asyncpg
import orjson

from mpanel_billing.database.pool import CONNECTION_ERRORS, encode_json
from mpanel_billing.database.queries import Connection
from mpanel_billing.jobs.queue import trigger_headers
from mpanel_billing.mirror.rows import first_row_of
from mpanel_billing.mirror.service import APPLIED, is_first, lock_keys
from mpanel_billing.mirror.snapshot import Snapshot
from mpanel_billing.mirror.types.refund import NOTHING_GIVEN, RefundFacts
from mpanel_billing.mirror.types.subscription import SubscriptionFacts
from mpanel_billing.telemetry.quoting import sentence_of
from mpanel_billing.webhooks import repository
from mpanel_billing.webhooks.event import Event
from mpanel_billing.webhooks.inbox import inbox_row

logger = logging.getLogger(__name__)

_GROUPS: Mapping[str, str] = {
    "customer": "customers",
    "charge": "charges",
    "refund": "refunds",
    "invoice_payment": "payments",
    "invoice": "invoices",
    "subscription": "subscriptions",
    "checkout.session": "sessions",
}
"""The parameter that takes the rows of each type; others, which are rare, take the full path."""
_RENEWALS = "renewals"
"""The parameter that takes the subscriptions which may have renewed, and no more."""


class FastPathEvent(NamedTuple):
    """An event that may take the fast path, with its rows serialized for the database.

    They are serialized on arrival, while the database writes the previous batch; between two
    batches the database would have to wait for it.
    """

    id: str
    group: str
    keys: Sequence[str]
    inbox_row: orjson.Fragment
    mirror_row: orjson.Fragment
    payload: str


def prepare_fast_path(event: Event) -> FastPathEvent | None:
    """Prepare an event for the fast path; None if it needs the full path in any case."""
    snapshot = event.snapshot
    if snapshot is None or snapshot.version.test_clock or not _has_group(snapshot):
        return None
    try:
        mirror_row = encode_json(first_row_of(snapshot))
    except orjson.JSONEncodeError:
        return None  # an amount beyond 64 bits: the full path keeps the event with its error
    return FastPathEvent(
        id=event.id,
        group=_RENEWALS if _may_be_renewal(snapshot) else _GROUPS[snapshot.object_type],
        keys=lock_keys([snapshot]),
        inbox_row=orjson.Fragment(encode_json(inbox_row(event, APPLIED))),
        mirror_row=orjson.Fragment(mirror_row),
        payload=event.payload,
    )


def _has_group(snapshot: Snapshot) -> bool:
    """Whether the fast path takes it; after a failed refund its charge has to be fetched."""
    facts = snapshot.facts
    if isinstance(facts, RefundFacts) and facts.status in NOTHING_GIVEN:
        return False
    return snapshot.object_type in _GROUPS


def _may_be_renewal(snapshot: Snapshot) -> bool:
    facts = snapshot.facts
    if not isinstance(facts, SubscriptionFacts) or is_first(snapshot):
        return False
    return facts.items_complete and not facts.discounts


async def receive_on_fast_path(conn: Connection, events: Sequence[FastPathEvent]) -> set[str]:
    """Keep and apply the events that can take the fast path, and return their ids.

    The events must be of different objects. Those returned are committed, so `conn` must not be in
    a transaction; the others are untouched.
    """
    rows: defaultdict[str, list[orjson.Fragment]] = defaultdict(list)
    for event in events:
        rows[event.group].append(event.mirror_row)
    try:
        return await repository.receive_events(
            conn,
            [event.inbox_row for event in events],
            [event.payload for event in events],
            rows,
            [key for event in events for key in event.keys],
            headers=trigger_headers(),
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
