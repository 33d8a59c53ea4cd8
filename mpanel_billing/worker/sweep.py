"""Triggers what is due according to our rows: a lost trigger costs a minute, never an order."""

import logging
from collections.abc import Mapping
from types import MappingProxyType

from mpanel_billing.access import audit
from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.jobs.queue import (
    LAST,
    enqueue_domains,
    enqueue_event_retries,
    enqueue_provisioning,
    enqueue_reconcile,
    enqueue_refetches,
)
from mpanel_billing.messages.receivers import record_trial_endings
from mpanel_billing.mirror.repository import list_due_refetches
from mpanel_billing.provisioning.lease import LEASE_SECONDS, Clock, database_clock
from mpanel_billing.provisioning.registrar.repository import list_due
from mpanel_billing.provisioning.repository.runs import (
    list_due_work,
    list_undone_work,
    renew_edited,
)
from mpanel_billing.reconciliation.repository import list_stopped_runs
from mpanel_billing.revenue.folding import fold_cash, fold_movements
from mpanel_billing.revenue.service import fold_revenue
from mpanel_billing.subscriptions.joining import join_accounts
from mpanel_billing.subscriptions.merging import forget_former
from mpanel_billing.subscriptions.pauses import turn_pauses
from mpanel_billing.usage.limits import free_limited
from mpanel_billing.webhooks.repository import list_due_events

logger = logging.getLogger(__name__)

MOST = 500
"""The limit per kind and sweep; the rest waits a minute for the next sweep."""

PAGES_OF_EDITS = 20
"""After an edit of the catalogue, this many times MOST are triggered in a sweep."""


async def sweep(pool: Pool, clock: Clock = database_clock) -> Mapping[str, int]:
    """Trigger what is due and return the number by kind.

    Work with a waiting trigger is not triggered twice. `clock` decides when provisioning is due,
    the database's time everything else.
    """
    async with transaction(pool) as conn:
        counts = {
            "provisioning": await _sweep_work(conn, clock),
            "domains": await _sweep_domains(conn, clock),
            "refetches": await _sweep_refetches(conn),
            "events": await _sweep_events(conn),
            "reconciles": await _sweep_reconciles(conn),
            "settled": await audit.settle_done(conn, MOST),
        }
    counts["edited"] = await _sweep_edits(pool)
    counts["accounts"] = await join_accounts(pool, MOST)
    counts["pauses"] = await turn_pauses(pool, MOST)
    counts["limits"] = await free_limited(pool, MOST)
    await fold_revenue(pool)
    await fold_movements(pool)
    await fold_cash(pool)
    await record_trial_endings(pool)
    await forget_former(pool)
    if any(counts.values()):
        logger.info("due work triggered", extra=counts)
    return MappingProxyType(counts)


async def trigger_undone(pool: Pool, clock: Clock = database_clock) -> int:
    """Trigger the work whose job was lost, and return how much there is; for when a queue starts.

    A job that runs while the database goes away is lost: the queue can write neither its end nor
    that it is to be tried again. Work that still has its job is not triggered twice; a lease that
    nothing renews any more is waited for.
    """
    async with transaction(pool) as conn:
        undone = await list_undone_work(conn, MOST, clock())
        for is_leased, delay in ((False, 0.0), (True, LEASE_SECONDS)):
            work = [(id_, version) for id_, version, leased in undone if leased is is_leased]
            await enqueue_provisioning(conn, work, delay_seconds=delay)
    return len(undone)


async def _sweep_work(conn: Connection, clock: Clock) -> int:
    due = await list_due_work(conn, MOST, clock())
    await enqueue_provisioning(conn, due)
    return len(due)


async def _sweep_domains(conn: Connection, clock: Clock) -> int:
    due = await list_due(conn, MOST, clock())
    await enqueue_domains(conn, due)
    return len(due)


async def _sweep_edits(pool: Pool) -> int:
    """Trigger who has what was edited, in short transactions: each locks the work of a page.

    Their jobs come after all others, however many they are.
    """
    triggered = 0
    for _ in range(PAGES_OF_EDITS):
        async with transaction(pool) as conn:
            edited, has_more = await renew_edited(conn, MOST)
            await enqueue_provisioning(conn, edited, LAST)
        triggered += len(edited)
        if not has_more:
            break
    return triggered


async def _sweep_refetches(conn: Connection) -> int:
    due = await list_due_refetches(conn, MOST)
    await enqueue_refetches(conn, due)
    return len(due)


async def _sweep_events(conn: Connection) -> int:
    due = await list_due_events(conn, MOST)
    await enqueue_event_retries(conn, due)
    return len(due)


async def _sweep_reconciles(conn: Connection) -> int:
    stopped = await list_stopped_runs(conn)
    for run_id, attempts in stopped:
        await enqueue_reconcile(conn, run_id, attempts)
    return len(stopped)
