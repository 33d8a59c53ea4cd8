"""The short way of an event: most are kept and applied in one round trip to the database.

Routine is what is newer than its row by a later second, and moves nothing that is derived: the
renewals of a subscription that goes on, and the invoices of one. The database decides which those
are, in the transaction that writes them; whatever it leaves goes the ordinary way. Why:
docs/decisions/0007-routine-events-in-one-round-trip.md.
"""

import logging
from collections.abc import Sequence

import asyncpg

from mpanel_billing.database.pool import CONNECTION_ERRORS
from mpanel_billing.database.queries import Connection
from mpanel_billing.mirror.facts import InvoiceFacts, SubscriptionFacts
from mpanel_billing.mirror.rows import row_of
from mpanel_billing.mirror.service import APPLIED, lock_keys
from mpanel_billing.webhooks import repository
from mpanel_billing.webhooks.envelope import Event
from mpanel_billing.webhooks.service import inbox_row

logger = logging.getLogger(__name__)


async def receive_routine(conn: Connection, events: Sequence[Event]) -> set[str]:
    """Keep and apply the routine ones of events of different objects; answer their ids.

    Each of the events is one that `may_be_routine`. Those answered are committed when this
    returns, so `conn` is in no transaction. The others are untouched.
    """
    snapshots = [event.snapshot for event in events if event.snapshot]
    rows = {
        object_type: [row_of(s) for s in snapshots if s.object_type == object_type]
        for object_type in ("invoice", "subscription")
    }
    try:
        return await repository.receive_routine(
            conn,
            [inbox_row(event, APPLIED) for event in events],
            [event.payload for event in events],
            rows,
            lock_keys(snapshots),
        )
    except CONNECTION_ERRORS:
        raise
    except asyncpg.PostgresError as error:
        # one is in the inbox already, or cannot be written: the ordinary way finds out which
        logger.info("%d events go the ordinary way: %s", len(events), error)
        return set()


def may_be_routine(event: Event) -> bool:
    """Whether the database is worth asking: it needs to be told of nothing but the snapshot."""
    match event.snapshot and event.snapshot.facts:
        case SubscriptionFacts(items_complete=complete):
            return complete
        case InvoiceFacts(stripe_subscription_id=subscription):
            return subscription is not None
        case _:
            return False
