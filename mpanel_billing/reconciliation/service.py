"""Begin, continue and look at reconciles: for the command line, the operator's route, the worker.

One at a time, over all machines: the unfinished run's row is leased to whoever is at it. A lease
in a row, and not an advisory lock of a session, because it works through a connection pooler too,
and because a run that was stopped has to be found again anyway.
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
from mpanel_billing.access.actor import Actor
from mpanel_billing.access.audit import Target
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import BillingError, ConflictError, DatabaseUnavailableError
from mpanel_billing.jobs.backoff import retry_seconds
from mpanel_billing.jobs.queue import enqueue_reconcile
from mpanel_billing.reconciliation import repository
from mpanel_billing.reconciliation.comparing import ReconcileContext
from mpanel_billing.reconciliation.drift import Drift
from mpanel_billing.reconciliation.repository import Run
from mpanel_billing.reconciliation.slices import Slice, cut
from mpanel_billing.reconciliation.walking import RunLostError, walk
from mpanel_billing.telemetry.logs import redact

logger = logging.getLogger(__name__)

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be reconciled, and who asks: `schedule`, `api` or `command`.

    `since_days` leaves out what was made before that many days. An unfinished run of the same
    wish is continued, unless it is to `restart`.
    """

    started_by: str
    livemode: bool
    dry_run: bool = False
    since_days: int | None = None
    restart: bool = False


async def open_run(pool: Pool, wish: Wish, by: Actor | None = None) -> UUID:
    """Begin a run, or find the stopped one that is to go on; its id, for `continue_run`.

    ConflictError while another is running. `by` is who asks, for the audit log.
    """
    try:
        async with transaction(pool) as conn:
            return await _open(conn, wish, by)
    except asyncpg.UniqueViolationError:
        raise _running() from None


async def request_run(pool: Pool, wish: Wish, by: Actor | None = None) -> UUID:
    """Do as `open_run`, and have a worker see to it."""
    try:
        async with transaction(pool) as conn:
            run_id = await _open(conn, wish, by)
            await enqueue_reconcile(conn, run_id, attempt=0)
            return run_id
    except asyncpg.UniqueViolationError:
        raise _running() from None


def _running() -> ConflictError:
    return ConflictError(
        "A reconcile is running already; billing_reconcile_runs has it. "
        "One that was killed can be taken up a minute later."
    )


async def _open(conn: Connection, wish: Wish, by: Actor | None) -> UUID:
    unfinished = await repository.get_unfinished_run(conn)
    if unfinished is not None:
        if unfinished["held"]:
            raise _running()
        if not wish.restart and _is_same(unfinished, wish):
            found: UUID = unfinished["id"]
            return found
        await repository.abandon_run(conn, unfinished["id"])
    row = await repository.insert_run(
        conn,
        started_by=wish.started_by,
        livemode=wish.livemode,
        dry_run=wish.dry_run,
        since_days=wish.since_days,
    )
    run_id: UUID = row["id"]
    await repository.insert_slices(conn, run_id, await _cut(conn, row, wish))
    if not wish.dry_run:
        details = {"sinceDays": wish.since_days}
        await audit.record(conn, by, "reconcile.start", Target("reconcile", str(run_id)), details)
    return run_id


def _is_same(unfinished: asyncpg.Record, wish: Wish) -> bool:
    stands: Sequence[Any] = [unfinished[name] for name in ("livemode", "dry_run", "since_days")]
    return stands == [wish.livemode, wish.dry_run, wish.since_days]


async def _cut(conn: Connection, row: asyncpg.Record, wish: Wish) -> list[Slice]:
    now = int(row["started_at"].timestamp())
    horizon = await repository.get_horizon(conn)
    rows = await repository.estimate_rows(conn)
    return cut(
        now=now,
        horizon=now if horizon is None else min(horizon, now),
        subscriptions=rows.get("subscription", 0),
        since=now - wish.since_days * 86_400 if wish.since_days else None,
    )


async def continue_run(context: ReconcileContext, run_id: UUID) -> bool:
    """Take a run up and bring it to its end; False when somebody else is at it, or it is done.

    Whatever stops it (an error, which is raised, or a signal) leaves it where it was.
    """
    async with transaction(context.mirror.pool) as conn:
        run = await repository.take_run(conn, run_id, uuid4())
    if run is None:
        return False
    error: str | None = None
    started = time.monotonic()
    try:
        await walk(context, run)
    except RunLostError:
        logger.warning("another process has taken the reconcile over", extra=_of(run))
        return False
    except Exception as stopped:
        error = redact(str(stopped) or type(stopped).__name__)
        raise
    finally:
        await asyncio.shield(_release(context.mirror.pool, run, error))
    took = round((time.monotonic() - started) * 1000)
    logger.info("reconcile done", extra={**_of(run), "durationMs": took})
    return True


async def _release(pool: Pool, run: Run, error: str | None) -> None:
    """Leave the run, if it is not finished; should that fail, its lease runs out."""
    delay = retry_seconds(run.attempts) if error else 0
    with suppress(DatabaseUnavailableError):
        async with acquired(pool) as conn:
            await repository.release_run(conn, run, error, delay)


def _of(run: Run) -> dict[str, object]:
    return {"runId": str(run.id)}


async def run_due(context: ReconcileContext, run_id: UUID, stop: asyncio.Event) -> None:
    """Do as `continue_run`, for the worker: a failure is logged, and the sweep tries again.

    Once `stop` is set the run is left where it is, for another worker.
    """
    running = asyncio.create_task(continue_run(context, run_id))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
    except BillingError:
        logger.exception("the reconcile stopped; it goes on later", extra={"runId": str(run_id)})
    finally:
        stopping.cancel()
        running.cancel()
        await asyncio.wait({running})


async def latest_run(conn: Connection) -> Mapping[str, Any] | None:
    """Return the figures of the run that was begun last; None: there was none.

    id, started_by, livemode, dry_run, since_days, started_at, finished_at and outcome (None while
    unfinished), running, last_error; counts: objects, events, accounts, drift, repaired.
    """
    row = await repository.get_latest_run(conn)
    return None if row is None else dict(row)


async def show_latest_run(pool: Pool) -> Mapping[str, Any] | None:
    """Do as `latest_run`, on a connection of its own."""
    async with acquired(pool) as conn:
        return await latest_run(conn)


async def show_run(pool: Pool, run_id: UUID) -> Mapping[str, Any]:
    """Return the figures of a run, as `latest_run` has them."""
    async with acquired(pool) as conn:
        row = await repository.get_run(conn, run_id)
    return dict(row) if row else {}


async def estimate_objects(pool: Pool) -> int:
    """Return about how many objects there are to compare, by what the mirror has."""
    async with acquired(pool) as conn:
        return sum((await repository.estimate_rows(conn)).values())


async def list_drift(pool: Pool, run_id: UUID) -> AsyncIterator[Drift]:
    """Yield what a run has found, by object and field, however much it is."""
    after = ("", "")
    while True:
        async with acquired(pool) as conn:
            page = await repository.list_drift(conn, run_id, after, _PAGE)
        for drift in page:
            yield drift
        if len(page) < _PAGE:
            return
        after = (page[-1].object_id, page[-1].field)
