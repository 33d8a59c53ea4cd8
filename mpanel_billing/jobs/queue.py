"""Enqueues triggers in PgQueuer, in the transaction that makes the work necessary.

A trigger may be lost or arrive twice: the sweep finds due work in our own rows, and work is safe to
run again. The dedupe key carries the version of the row, because PgQueuer's also covers running
jobs: a change during the job for an older version needs its own.
"""

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import cast
from uuid import UUID

from pgqueuer import AsyncpgDriver, Queries

from mpanel_billing.database.queries import Connection

PROVISION = "provision"
REFETCH = "refetch"
RETRY_EVENT = "retry_event"
RECONCILE = "reconcile"

USUAL, LAST = 0, -1
"""Priorities: PgQueuer takes a job with a higher one first."""


async def enqueue_provisioning(
    conn: Connection, work: Sequence[tuple[UUID, int]], priority: int = USUAL
) -> None:
    """Trigger provisioning: (subscription id, version of its provisioning_work)."""
    triggers = [(str(id_), version) for id_, version in work]
    await _enqueue(conn, PROVISION, triggers, priority=priority)


async def enqueue_provisioning_retry(
    conn: Connection, subscription_id: UUID, version: int, attempt: int, delay_seconds: float
) -> None:
    """Trigger another run for a subscription whose run `attempt` did not finish."""
    trigger = (str(subscription_id), f"{version}:{attempt}")
    await _enqueue(conn, PROVISION, [trigger], timedelta(seconds=max(delay_seconds, 0)))


async def enqueue_refetches(conn: Connection, requests: Sequence[tuple[str, int]]) -> None:
    """Trigger refetches: (object id, version of its stripe_refetches row)."""
    await _enqueue(conn, REFETCH, requests)


async def enqueue_refetch_retry(
    conn: Connection, object_id: str, version: int, attempt: int, delay_seconds: float
) -> None:
    """Trigger another refetch after `attempt` for this version failed."""
    await _enqueue(
        conn, REFETCH, [(object_id, f"{version}:{attempt}")], timedelta(seconds=delay_seconds)
    )


async def enqueue_event_retries(conn: Connection, events: Sequence[tuple[str, int]]) -> None:
    """Trigger retries of failed events: (event id, attempts made)."""
    await _enqueue(conn, RETRY_EVENT, events)


async def enqueue_reconcile(conn: Connection, run_id: UUID, attempt: int) -> None:
    """Trigger a reconcile, new or resumed after `attempt` attempts."""
    await _enqueue(conn, RECONCILE, [(str(run_id), attempt)])


async def _enqueue(
    conn: Connection,
    entrypoint: str,
    triggers: Sequence[tuple[str, int | str]],
    delay: timedelta = timedelta(0),
    priority: int = USUAL,
) -> None:
    if not triggers:
        return
    # PgQueuer's driver is typed for a connection; the pool's proxy behaves like one
    queries = Queries(_EnqueueDriver(conn))  # type: ignore[arg-type]
    await queries.enqueue(
        [entrypoint] * len(triggers),
        [id_.encode() for id_, _ in triggers],
        [priority] * len(triggers),
        execute_after=[delay] * len(triggers),
        dedupe_key=[f"{entrypoint}:{id_}:{version}" for id_, version in triggers],
        on_conflict="skip",
    )


class _EnqueueDriver(AsyncpgDriver):
    """Runs PgQueuer's enqueue statement on one of our connections.

    PgQueuer passes the headers as JSON texts in the last argument; our connections encode JSON
    themselves and would encode them twice.
    """

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        *others, headers = args
        decoded = [json.loads(text) for text in cast("list[str]", headers)]
        return await super().fetch(query, *others, decoded)
