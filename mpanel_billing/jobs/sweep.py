"""Trigger again what is due by our own rows: a lost trigger costs a minute, never an order."""

import logging
from collections.abc import Mapping
from types import MappingProxyType

from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.jobs.queue import (
    enqueue_event_retries,
    enqueue_provisioning,
    enqueue_refetches,
)
from mpanel_billing.provisioning.repository import list_due_work
from mpanel_billing.webhooks.repository import list_due_events

logger = logging.getLogger(__name__)

MOST = 500
"""How much of each kind one sweep triggers; the rest waits a minute for the next."""

_refetches = load_queries("refetches")


async def sweep(pool: Pool) -> Mapping[str, int]:
    """Trigger what is due; answer how much of each kind.

    What has been triggered already and still waits is not triggered twice.
    """
    async with transaction(pool) as conn:
        counts = {
            "provisioning": await _sweep_work(conn),
            "refetches": await _sweep_refetches(conn),
            "events": await _sweep_events(conn),
        }
    if any(counts.values()):
        logger.info("due work triggered", extra=counts)
    return MappingProxyType(counts)


async def _sweep_work(conn: Connection) -> int:
    due = await list_due_work(conn, MOST)
    await enqueue_provisioning(conn, due)
    return len(due)


async def _sweep_refetches(conn: Connection) -> int:
    rows = await _refetches.list_due_refetches.fetch(conn, most=MOST)
    await enqueue_refetches(conn, [(row["object_id"], row["version"]) for row in rows])
    return len(rows)


async def _sweep_events(conn: Connection) -> int:
    due = await list_due_events(conn, MOST)
    await enqueue_event_retries(conn, due)
    return len(due)
