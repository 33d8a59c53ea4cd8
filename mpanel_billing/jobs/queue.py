"""Enqueues triggers in PgQueuer, in the transaction that makes the work necessary.

A trigger may be lost or arrive twice: the sweep finds due work in our own rows, and work is safe to
run again. The dedupe key carries the version of the row, because PgQueuer's also covers running
jobs: a change during the job for an older version needs its own.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, TypeAlias
from uuid import UUID

from mpanel_billing.database.queries import Connection
from mpanel_billing.jobs import repository
from mpanel_billing.telemetry.tracing import active_tracing

PROVISION = "provision"
REFETCH = "refetch"
RETRY_EVENT = "retry_event"
RECONCILE = "reconcile"
DOMAIN = "domain"

USUAL, LAST = 0, -1
"""Priorities: PgQueuer takes a job with a higher one first."""

Work: TypeAlias = Sequence[tuple[UUID, int]]
"""Subscriptions to provision, each with the version of its provisioning_work."""

Requests: TypeAlias = Sequence[tuple[str, int, float]]
"""Objects to refetch: id, version of the row in stripe_refetches, seconds until then."""


def trigger_headers() -> Mapping[str, Any] | None:
    """Return the headers of jobs that the database enqueues; None unless this process traces."""
    spans = active_tracing()
    return spans.job_headers() if spans else None


async def enqueue_triggers(conn: Connection, work: Work, refetches: Requests) -> None:
    """Trigger provisioning and refetches by one statement: each costs a round trip."""
    triggers = [
        *((PROVISION, str(id_), version, 0.0) for id_, version in work),
        *((REFETCH, id_, version, seconds) for id_, version, seconds in refetches),
    ]
    if triggers:
        await repository.enqueue_triggers(conn, triggers, trigger_headers())


async def enqueue_provisioning(
    conn: Connection, work: Work, priority: int = USUAL, *, delay_seconds: float = 0
) -> None:
    """Trigger provisioning."""
    triggers = [_Trigger(PROVISION, str(id_), version, delay_seconds) for id_, version in work]
    await _enqueue(conn, triggers, priority)


async def enqueue_provisioning_retry(
    conn: Connection, subscription_id: UUID, version: int, attempt: int, delay_seconds: float
) -> None:
    """Trigger another run for a subscription whose run `attempt` did not finish."""
    version_of_try = f"{version}:{attempt}"
    await _enqueue(
        conn, [_Trigger(PROVISION, str(subscription_id), version_of_try, max(delay_seconds, 0))]
    )


async def enqueue_refetches(conn: Connection, requests: Requests) -> None:
    """Trigger refetches."""
    await _enqueue(conn, [_Trigger(REFETCH, *request) for request in requests])


async def enqueue_refetch_retry(
    conn: Connection, object_id: str, version: int, attempt: int, delay_seconds: float
) -> None:
    """Trigger another refetch after `attempt` for this version failed."""
    await _enqueue(conn, [_Trigger(REFETCH, object_id, f"{version}:{attempt}", delay_seconds)])


async def enqueue_event_retries(conn: Connection, events: Sequence[tuple[str, int]]) -> None:
    """Trigger retries of failed events: (event id, attempts made)."""
    await _enqueue(conn, [_Trigger(RETRY_EVENT, id_, attempts) for id_, attempts in events])


async def enqueue_reconcile(conn: Connection, run_id: UUID, attempt: int) -> None:
    """Trigger a reconcile, new or resumed after `attempt` attempts."""
    await _enqueue(conn, [_Trigger(RECONCILE, str(run_id), attempt)])


async def enqueue_domains(conn: Connection, due: Sequence[tuple[UUID, int]]) -> None:
    """Trigger runs on domains at their registrar: (id, Unix time since when it is due)."""
    await _enqueue(conn, [_Trigger(DOMAIN, str(id_), since) for id_, since in due])


class _Trigger(NamedTuple):
    """An id for a job of the worker; `version` is that of its row."""

    entrypoint: str
    id_: str
    version: int | str
    delay_seconds: float = 0


async def _enqueue(conn: Connection, triggers: Sequence[_Trigger], priority: int = USUAL) -> None:
    if not triggers:
        return
    from mpanel_billing.jobs.enqueueing import enqueue  # noqa: PLC0415 - see there

    await enqueue(
        conn,
        [each.entrypoint for each in triggers],
        [each.id_.encode() for each in triggers],
        keys=[f"{each.entrypoint}:{each.id_}:{each.version}" for each in triggers],
        delays=[timedelta(seconds=each.delay_seconds) for each in triggers],
        priority=priority,
    )
