"""The inbox of Stripe's events: keep, apply, fail, retry and list them.

An event is kept and applied in one transaction: what is acknowledged with 2xx is on disk (rule 1).
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

import asyncpg

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import DatabaseUnavailableError, NotFoundError
from mpanel_billing.jobs.backoff import doubled
from mpanel_billing.mirror.discounts import refetch_owner
from mpanel_billing.mirror.locks import lock_keys
from mpanel_billing.mirror.mirror import Mirror, request_refetch
from mpanel_billing.mirror.service import APPLIED, Outcome, apply_locked, apply_snapshots
from mpanel_billing.mirror.types.discount import DiscountOwner
from mpanel_billing.telemetry.quoting import error_text, quote
from mpanel_billing.webhooks import repository
from mpanel_billing.webhooks.event import Event, parse_event
from mpanel_billing.webhooks.jsonb import Body

logger = logging.getLogger(__name__)

Status = Literal["received", "applied", "stale", "ignored", "failed"]
"""The status of a row of stripe_events; `applied` and `stale` come from the mirror."""
STATUSES: tuple[Status, ...] = get_args(Status)

IGNORED: Status = "ignored"
FAILED: Status = "failed"
NO_SUBSCRIPTION = Outcome(IGNORED, "its discount is of no subscription")
ERASED_CUSTOMER = "its event is of an erased customer"
"""Why an object is fetched whose event failed and may not be kept."""
DUPLICATE = Outcome("duplicate")
"""The outcome of an event that was in the inbox already; no row has this status."""

FIRST_RETRY_SECONDS = 60.0
LONGEST_RETRY_SECONDS = 6 * 3600.0
MAX_ATTEMPTS = 12
_CONFLICT_RETRIES = 3


class UnreadableEventError(Exception):
    """The object of a kept event still cannot be read; the message says why."""


async def receive_event(pool: Pool, event: Event) -> Outcome:
    """Keep an event and apply it, at most once.

    If applying fails, the event is kept as failed with the error, to be retried;
    DatabaseUnavailableError if it could not even be kept.
    """
    try:
        return (await _keep_and_apply(pool, event))[event.id]
    except DatabaseUnavailableError:
        raise
    except Exception as error:  # noqa: BLE001 - rule 6: whatever fails, the event is kept with it
        await _keep_failed(pool, event, error)
        return Outcome(FAILED)


async def _keep_and_apply(pool: Pool, event: Event) -> Mapping[str, Outcome]:
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

    Returns the outcome by event id. Any failure fails the batch, and the caller must roll back.
    """
    expected = {event.id: _expected(event) for event in events}
    rows = [inbox_row(event, expected[event.id]) | _failure(event.error) for event in events]
    keys = lock_keys(event.snapshot for event in events if event.snapshot)
    kept = await repository.insert_events(conn, rows, [event.payload for event in events], keys)
    new = [event for event in events if event.id in kept]
    _log_unreadable(new)
    snapshots = [event.snapshot for event in new if event.snapshot]
    by_object = await apply_locked(conn, snapshots) if snapshots else {}
    outcomes = {e.id: by_object[e.snapshot.object_id] for e in new if e.snapshot}
    for event in new:
        if event.discount_owner:
            outcomes[event.id] = await _apply_discount(conn, event.discount_owner)
        if event.reports_usage:
            await repository.note_usage_report(conn, event.id)
    if unexpected := [_mark(id_, o) for id_, o in outcomes.items() if o != expected[id_]]:
        await repository.mark_events(conn, unexpected)
    return {
        event.id: outcomes.get(event.id, expected[event.id]) if event.id in kept else DUPLICATE
        for event in events
    }


async def _apply_discount(conn: Connection, owner: DiscountOwner) -> Outcome:
    return APPLIED if await refetch_owner(conn, owner) else NO_SUBSCRIPTION


def _expected(event: Event) -> Outcome:
    """Return the outcome of most events, with which each is inserted at first."""
    if event.error:
        return Outcome(FAILED)
    if event.has_effect:
        return APPLIED
    return Outcome(IGNORED, event.reason)


def _failure(error: str | None) -> dict[str, Any]:
    """Return the further columns of an event that has failed for the first time."""
    if error is None:
        return {}
    return {
        "attempts": 1,
        "last_error": error,
        "retry_in_seconds": retry_delay(1),
    }


def _log_unreadable(events: Sequence[Event]) -> None:
    for event in events:
        if event.error:
            logger.error(
                "event kept as failed: %s",
                event.error,
                extra={"eventId": event.id, "eventType": event.type, "objectId": event.object_id},
            )


def inbox_row(event: Event, outcome: Outcome) -> dict[str, Any]:
    """Return the row of an event with its outcome."""
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


async def _keep_failed(pool: Pool, event: Event, error: Exception) -> None:
    logger.error(
        "event could not be applied; kept as failed",
        extra={"eventId": event.id, "eventType": event.type},
        exc_info=error,
    )
    row = inbox_row(event, Outcome(FAILED)) | _failure(_describe(error))
    try:
        async with transaction(pool) as conn:
            await repository.insert_events(conn, [row], [event.payload], keys=[])
            if event.snapshot and not await repository.has_payload(conn, event.id):
                snapshot = event.snapshot
                await request_refetch(
                    conn, snapshot.object_type, snapshot.object_id, ERASED_CUSTOMER
                )
    except asyncpg.PostgresError as second:
        raise DatabaseUnavailableError(
            "The event could not be stored; please send it again.", retry_after=60
        ) from second


async def retry_event(mirror: Mirror, event_id: str) -> Outcome | None:
    """Apply a kept event again; None if it is done, or another process is applying it."""
    try:
        return await _lock_and_apply(mirror, event_id)
    except DatabaseUnavailableError:
        raise
    except Exception as error:  # noqa: BLE001 - rule 6: the event stays, with its error
        await _postpone(mirror.pool, event_id, error)
        return Outcome(FAILED)


async def _lock_and_apply(mirror: Mirror, event_id: str) -> Outcome | None:
    async with transaction(mirror.pool) as conn:
        row = await repository.lock_event(conn, event_id)
        if row is None:
            return None
        event = parse_event(Body.of(row["payload"]), livemode=mirror.livemode)
        if event.error:
            raise UnreadableEventError(event.error)
        outcome = Outcome(IGNORED, event.reason)
        if event.snapshot:
            outcome = (await apply_snapshots(conn, [event.snapshot]))[event.snapshot.object_id]
        elif event.discount_owner:
            outcome = await _apply_discount(conn, event.discount_owner)
        elif event.reports_usage:
            await repository.note_usage_report(conn, event.id)
            outcome = APPLIED
        await repository.mark_events(conn, [_mark(event_id, outcome)])
        return outcome


async def _postpone(pool: Pool, event_id: str, error: Exception) -> None:
    logger.error("event failed again", extra={"eventId": event_id}, exc_info=error)
    async with transaction(pool) as conn:
        row = await repository.lock_event(conn, event_id)
        if row is not None:
            delay = retry_delay(row["attempts"] + 1)
            await repository.mark_event_failed(conn, event_id, _describe(error), delay)


def retry_delay(attempts: int) -> float | None:
    """Return the seconds to wait after that many failed attempts; None: no more retries.

    Slower than `retry_seconds`, and finite: the error is in our code or data, not another system's.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    return min(doubled(FIRST_RETRY_SECONDS, attempts), LONGEST_RETRY_SECONDS)


def _mark(event_id: str, outcome: Outcome) -> dict[str, Any]:
    return {"id": event_id, "status": outcome.status, "reason": outcome.reason}


def _describe(error: Exception) -> str:
    if isinstance(error, UnreadableEventError):
        return quote(str(error))
    return error_text(error)


async def list_events(
    pool: Pool, status: str | None, most: int, before: str | None = None
) -> Sequence[Mapping[str, Any]]:
    """Return the newest events, of one status or of all, without their payloads.

    With `before`, an event's id, those received before it; none if it is unknown.
    """
    async with transaction(pool) as conn:
        return [dict(row) for row in await repository.list_events(conn, status, before, most)]


async def show_event(pool: Pool, event_id: str) -> Mapping[str, Any]:
    """Return one event with its payload and last error, or raise NotFoundError."""
    async with acquired(pool) as conn:
        event = await repository.get_event(conn, event_id)
    if event is None:
        raise NotFoundError(f"Event {event_id} not found.")
    return dict(event)
