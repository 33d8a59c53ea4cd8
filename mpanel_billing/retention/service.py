"""Prunes rows older than KEEP_..._DAYS; why and how: docs/decisions/0008-retention.md."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.retention import repository
from mpanel_billing.retention.repository import Ages
from mpanel_billing.settings import DatabaseSettings

logger = logging.getLogger(__name__)

_OLDEST = datetime.min.replace(tzinfo=UTC)


def ages_of(settings: DatabaseSettings) -> Ages:
    """Return how long each subject is kept."""
    return Ages(
        event_payloads=settings.keep_event_payloads_days,
        events=settings.keep_events_days,
        provisioning_log=settings.keep_provisioning_log_days,
        idempotency_keys=settings.keep_idempotency_keys_days,
        job_log=settings.keep_job_log_days,
        messages=settings.keep_messages_days,
        unpaid_orders=settings.keep_unpaid_orders_days,
        access_data=settings.keep_access_data_days,
        usage=settings.keep_usage_days,
        meter_events=settings.keep_usage_days,
    )


async def prune(
    pool: Pool, ages: Ages, *, stop: asyncio.Event | None = None, by: Actor | None = None
) -> Mapping[str, int]:
    """Prune everything that is due and return the number of rows by subject.

    Each batch is its own transaction: after an interruption, or `stop`, which ends the run after
    the current batch, the next run continues. Concurrent runs share the work or leave it to one.
    """
    stop = stop or asyncio.Event()
    async with audit.attempt(pool, by, "retention.prune", details=asdict(ages)) as entry:
        pruned = {
            subject: await _prune_subject(pool, subject, days, stop)
            for subject, days in asdict(ages).items()
        }
        entry.note(pruned=pruned)
    if any(pruned.values()):
        logger.info("old rows pruned", extra=pruned)
    return pruned


async def _prune_subject(pool: Pool, subject: str, keep_days: int, stop: asyncio.Event) -> int:
    """Start each batch where the last ended, so that dead index entries are not scanned again."""
    rows, since = 0, _OLDEST
    while not stop.is_set():
        async with transaction(pool) as conn:
            batch = await repository.prune_batch(conn, subject, keep_days, since)
            await repository.note_pruning(conn, subject, batch)
        if batch.until is None:
            break
        rows, since = rows + batch.rows, batch.until
    return rows


async def count_prunable(pool: Pool, ages: Ages) -> Mapping[str, int]:
    """Count the rows that `prune` would take, by subject, each up to COUNTED_UP_TO + 1."""
    async with acquired(pool) as conn:
        return await repository.count_prunable(conn, ages)
