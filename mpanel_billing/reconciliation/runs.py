"""Start, resume and show reconcile runs, for the command, the admin route and the worker.

One run at a time across all machines: the process that works on it leases its row. It is a lease,
not a session-level advisory lock: a lease works through a connection pooler too, and the row is
needed anyway to find an interrupted run.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import BillingError, ConflictError, DatabaseUnavailableError
from mpanel_billing.jobs.backoff import retry_seconds
from mpanel_billing.jobs.queue import enqueue_reconcile
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.reconciliation import repository
from mpanel_billing.reconciliation.compare import ReconcileContext
from mpanel_billing.reconciliation.drift import Drift
from mpanel_billing.reconciliation.repository import Run
from mpanel_billing.reconciliation.slices import Slice, cut
from mpanel_billing.reconciliation.walk import RunLostError, walk
from mpanel_billing.telemetry.quoting import sentence_of

logger = logging.getLogger(__name__)

_PAGE = 500

_DAILY_MINUTE = 23
"""Off the hour, when most cron jobs start."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What to reconcile; `started_by` is `schedule`, `api` or `command`.

    `since_days` limits the run to objects at most that many days old. An unfinished run with the
    same options is resumed, unless `restart` is set.
    """

    started_by: str
    livemode: bool
    dry_run: bool = False
    since_days: int | None = None
    restart: bool = False


async def open_run(pool: Pool, request: RunRequest, by: Actor | None = None) -> UUID:
    """Start a run or find the interrupted one to resume; return its id, for `continue_run`.

    Raises ConflictError if a run is in progress. `by` is recorded in the audit log.
    """
    try:
        async with transaction(pool) as conn:
            return await _open(conn, request, by)
    except asyncpg.UniqueViolationError:
        raise _already_running() from None


async def mark_restored(pool: Pool, by: Actor) -> None:
    """Record that the database has been restored from a backup; call it before the first run.

    What was sent to the services since the backup is not on record: before anything is sent again,
    each subscription's accounts are looked at.
    """
    async with transaction(pool) as conn:
        await repository.mark_restored(conn)
        await audit.record(conn, by, "reconcile.restored")


async def request_run(pool: Pool, request: RunRequest, by: Actor | None = None) -> UUID:
    """Like `open_run`, and enqueue the run for a worker."""
    try:
        async with transaction(pool) as conn:
            run_id = await _open(conn, request, by)
            await enqueue_reconcile(conn, run_id, attempt=0)
            return run_id
    except asyncpg.UniqueViolationError:
        raise _already_running() from None


def cron_of(hour: int) -> str:
    """Return the cron expression for once a day at that hour, UTC."""
    return f"{_DAILY_MINUTE} {hour} * * *"


async def request_daily_run(mirror: Mirror) -> None:
    """Request the daily run: an interrupted run resumes, one in progress is left alone."""
    try:
        await request_run(mirror.pool, RunRequest("schedule", mirror.livemode))
    except ConflictError:
        logger.info("a reconcile is already in progress")


def _already_running() -> ConflictError:
    return ConflictError(
        "A reconcile is already in progress (see billing_reconcile_runs). "
        "If its process was killed, it can be resumed after a minute."
    )


async def _open(conn: Connection, request: RunRequest, by: Actor | None) -> UUID:
    unfinished = await repository.get_unfinished_run(conn)
    if unfinished is not None:
        if unfinished["held"]:
            raise _already_running()
        if not request.restart and _is_same_request(unfinished, request):
            found: UUID = unfinished["id"]
            return found
        await repository.abandon_run(conn, unfinished["id"])
    row = await repository.insert_run(
        conn,
        started_by=request.started_by,
        livemode=request.livemode,
        dry_run=request.dry_run,
        since_days=request.since_days,
    )
    run_id: UUID = row["id"]
    await repository.insert_slices(conn, run_id, await _cut_slices(conn, row, request))
    if not request.dry_run:
        details = {"sinceDays": request.since_days}
        await audit.record(conn, by, "reconcile.start", Target("reconcile", str(run_id)), details)
    return run_id


def _is_same_request(unfinished: asyncpg.Record, request: RunRequest) -> bool:
    unfinished_options: Sequence[Any] = [
        unfinished[name] for name in ("livemode", "dry_run", "since_days")
    ]
    return unfinished_options == [request.livemode, request.dry_run, request.since_days]


async def _cut_slices(conn: Connection, row: asyncpg.Record, request: RunRequest) -> list[Slice]:
    now = int(row["started_at"].timestamp())
    horizon = await repository.get_horizon(conn)
    rows = await repository.estimate_rows(conn)
    return cut(
        now=now,
        horizon=now if horizon is None else min(horizon, now),
        subscriptions=rows.get("subscription", 0),
        since=now - request.since_days * 86_400 if request.since_days else None,
    )


async def continue_run(context: ReconcileContext, run_id: UUID) -> bool:
    """Resume a run and finish it.

    False if it is finished, of Stripe's other mode, or another process holds it.

    After an error (which is raised) or a signal, it can be resumed where it stopped.
    """
    async with transaction(context.mirror.pool) as conn:
        run = await repository.take_run(conn, run_id, uuid4(), livemode=context.mirror.livemode)
    if run is None:
        return False
    error: str | None = None
    started = time.monotonic()
    try:
        await walk(context, run)
    except RunLostError:
        logger.warning("another process has taken over the reconcile", extra=_log_fields(run))
        return False
    except Exception as stopped:
        error = sentence_of(stopped)
        raise
    finally:
        await asyncio.shield(_release(context.mirror.pool, run, error))
    took = round((time.monotonic() - started) * 1000)
    logger.info("reconcile done", extra={**_log_fields(run), "durationMs": took})
    return True


async def _release(pool: Pool, run: Run, error: str | None) -> None:
    """Release the run if it is unfinished; if that fails, its lease expires."""
    delay = retry_seconds(run.attempts) if error else 0
    with suppress(DatabaseUnavailableError):
        async with acquired(pool) as conn:
            await repository.release_run(conn, run, error, delay)


def _log_fields(run: Run) -> dict[str, object]:
    return {"runId": str(run.id)}


async def run_due(context: ReconcileContext, run_id: UUID, stop: asyncio.Event) -> None:
    """Like `continue_run`, for the worker: a failure is logged, and the sweep retries the run.

    Once `stop` is set, the run is released for another worker.
    """
    running = asyncio.create_task(continue_run(context, run_id))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    except BillingError:
        logger.exception("the reconcile stopped; it will be resumed", extra={"runId": str(run_id)})
    finally:
        stopping.cancel()
        running.cancel()
        await asyncio.wait({running})


async def latest_run(conn: Connection) -> Mapping[str, Any] | None:
    """Return the latest run; None if there has been none.

    id, started_by, livemode, dry_run, since_days, started_at, finished_at and outcome (None while
    unfinished), running, last_error; counts: objects, events, accounts, drift, repaired.
    """
    rows = await repository.list_runs(conn, 1)
    return dict(rows[0]) if rows else None


async def show_latest_run(pool: Pool) -> Mapping[str, Any] | None:
    """Like `latest_run`, on a connection of its own."""
    async with acquired(pool) as conn:
        return await latest_run(conn)


async def show_run(pool: Pool, run_id: UUID) -> Mapping[str, Any]:
    """Return a run with the fields of `latest_run`; empty if not found."""
    async with acquired(pool) as conn:
        row = await repository.get_run(conn, run_id)
    return dict(row) if row else {}


async def list_runs(pool: Pool, most: int) -> Sequence[Mapping[str, Any]]:
    """Return the latest runs with the fields of `latest_run`, the latest first."""
    async with acquired(pool) as conn:
        return [dict(row) for row in await repository.list_runs(conn, most)]


async def list_first_drift(pool: Pool, run_id: UUID, most: int) -> Sequence[Drift]:
    """Return the first of what differed in a run, ordered by object and field."""
    async with acquired(pool) as conn:
        return await repository.list_drift(conn, run_id, ("", ""), most)


async def estimate_objects(pool: Pool) -> int:
    """Return the approximate number of objects to compare, from the size of the mirror."""
    async with acquired(pool) as conn:
        return sum((await repository.estimate_rows(conn)).values())


async def list_drift(pool: Pool, run_id: UUID) -> AsyncIterator[Drift]:
    """Yield the drift of a run, ordered by object and field."""
    after = ("", "")
    while True:
        async with acquired(pool) as conn:
            page = await repository.list_drift(conn, run_id, after, _PAGE)
        for drift in page:
            yield drift
        if len(page) < _PAGE:
            return
        after = (page[-1].object_id, page[-1].field)
