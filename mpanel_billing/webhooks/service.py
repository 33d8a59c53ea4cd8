"""Keep an event and apply it, in one transaction: what is answered 2xx is on disk (rule 1)."""

import logging
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.service import APPLIED, Outcome, apply_locked, apply_snapshots, lock_keys
from mpanel_billing.webhooks import repository
from mpanel_billing.webhooks.event import Body, Event, parse_event

logger = logging.getLogger(__name__)

DUPLICATE = Outcome("duplicate")
FAILED = Outcome("failed")
FIRST_RETRY_SECONDS = 60.0
LONGEST_RETRY_SECONDS = 6 * 3600.0
MAX_ATTEMPTS = 12
_MAX_ERROR_LENGTH = 20_000
_CONFLICT_RETRIES = 3


async def receive_event(pool: Pool, event: Event) -> Outcome:
    """Keep an event and let it take effect at most once.

    When applying it fails, the event is kept as failed with the traceback, to be tried again;
    DatabaseUnavailableError when it could not even be kept.
    """
    try:
        return (await _keep_and_apply_patiently(pool, event))[event.id]
    except DatabaseUnavailableError:
        raise
    except Exception as error:  # noqa: BLE001 - rule 6: whatever fails, the event is kept with it
        await _keep_failed(pool, event, error)
        return FAILED


async def retry_event(mirror: Mirror, event_id: str) -> Outcome | None:
    """Try a kept event again; None when it is done already, or somebody else is at it."""
    try:
        return await _lock_and_apply(mirror, event_id)
    except DatabaseUnavailableError:
        raise
    except Exception as error:  # noqa: BLE001 - rule 6: the event stays, with what went wrong
        await _postpone(mirror.pool, event_id, error)
        return FAILED


def retry_delay(attempts: int) -> float | None:
    """Return the seconds to wait after that many failed attempts; None: a person has to look."""
    if attempts >= MAX_ATTEMPTS:
        return None
    return min(FIRST_RETRY_SECONDS * 2.0 ** (attempts - 1), LONGEST_RETRY_SECONDS)


async def _keep_and_apply_patiently(pool: Pool, event: Event) -> Mapping[str, Outcome]:
    for _ in range(_CONFLICT_RETRIES):
        try:
            async with transaction(pool) as conn:
                return await receive_events(conn, [event])
        except (asyncpg.DeadlockDetectedError, asyncpg.SerializationError):
            continue
    async with transaction(pool) as conn:
        return await receive_events(conn, [event])


async def receive_events(conn: Connection, events: Sequence[Event]) -> Mapping[str, Outcome]:
    """Keep events of different objects and apply them, in the caller's transaction.

    Answers the outcome by event id. Any failure is the batch's, which is to leave nothing behind.
    """
    expected = {event.id: _expected(event) for event in events}
    rows = [inbox_row(event, expected[event.id]) for event in events]
    keys = lock_keys(event.snapshot for event in events if event.snapshot)
    kept = await repository.insert_events(conn, rows, [event.payload for event in events], keys)
    new = [event for event in events if event.id in kept]
    snapshots = [event.snapshot for event in new if event.snapshot]
    by_object = await apply_locked(conn, snapshots) if snapshots else {}
    outcomes = {e.id: by_object[e.snapshot.object_id] for e in new if e.snapshot}
    if surprises := [_mark(id_, o) for id_, o in outcomes.items() if o != expected[id_]]:
        await repository.mark_events(conn, surprises)
    return {
        event.id: outcomes.get(event.id, expected[event.id]) if event.id in kept else DUPLICATE
        for event in events
    }


def _expected(event: Event) -> Outcome:
    """What most events come to, and so are kept as at once."""
    return APPLIED if event.snapshot else Outcome("ignored", event.reason)


async def _lock_and_apply(mirror: Mirror, event_id: str) -> Outcome | None:
    async with transaction(mirror.pool) as conn:
        row = await repository.lock_event(conn, event_id)
        if row is None:
            return None
        event = parse_event(Body.of(row["payload"]), livemode=mirror.livemode)
        outcome = Outcome("ignored", event.reason)
        if event.snapshot:
            outcome = (await apply_snapshots(conn, [event.snapshot]))[event.snapshot.object_id]
        await repository.mark_events(conn, [_mark(event_id, outcome)])
        return outcome


async def _keep_failed(pool: Pool, event: Event, error: Exception) -> None:
    logger.error(
        "event could not be applied; kept as failed",
        extra={"eventId": event.id, "eventType": event.type},
        exc_info=error,
    )
    row = inbox_row(event, FAILED) | {
        "attempts": 1,
        "last_error": _describe(error),
        "retry_in_seconds": retry_delay(1),
    }
    try:
        async with transaction(pool) as conn:
            await repository.insert_events(conn, [row], [event.payload], keys=[])
    except asyncpg.PostgresError as second:
        raise DatabaseUnavailableError(
            "The event could not be stored; please send it again.", retry_after=60
        ) from second


async def _postpone(pool: Pool, event_id: str, error: Exception) -> None:
    logger.error("event failed again", extra={"eventId": event_id}, exc_info=error)
    async with acquired(pool) as conn, conn.transaction():
        row = await repository.lock_event(conn, event_id)
        if row is not None:
            delay = retry_delay(row["attempts"] + 1)
            await repository.mark_event_failed(conn, event_id, _describe(error), delay)


def inbox_row(event: Event, outcome: Outcome) -> dict[str, Any]:
    """Return the row to keep an event as, with what became of it."""
    return {
        "id": event.id,
        "type": event.type,
        "api_version": event.api_version,
        "created": event.created,
        "livemode": event.livemode,
        "object_id": event.object_id,
        "status": outcome.status,
        "reason": outcome.reason,
    }


def _mark(event_id: str, outcome: Outcome) -> dict[str, Any]:
    return {"id": event_id, "status": outcome.status, "reason": outcome.reason}


def _describe(error: Exception) -> str:
    return "".join(traceback.format_exception(error))[-_MAX_ERROR_LENGTH:]
