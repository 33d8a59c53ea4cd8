"""Runs, slices and drift of the reconcile."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.mirror.types import MIRRORED
from mpanel_billing.reconciliation.drift import Drift, Progress
from mpanel_billing.reconciliation.slices import Slice

_queries = load_queries("reconciliation")
_polls = load_queries("event_polls")
_adoptions = load_queries("adoptions")

LEASE_SECONDS = 60.0
"""How long a run stays leased without a renewal."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run leased by this process; `holder` is its token."""

    id: UUID
    holder: UUID
    livemode: bool
    dry_run: bool
    since_days: int | None
    started_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Poll:
    """The right to read Stripe's list of events now.

    `waiting_since`: when the oldest open session was created; `read_until`: up to where the list
    has been read, None if never.
    """

    polled_at: datetime
    waiting_since: datetime
    read_until: datetime | None


async def get_unfinished_run(conn: Connection) -> asyncpg.Record | None:
    """Return and lock the unfinished run; `held` is whether its lease is current."""
    return await _queries.get_unfinished_run.fetch_one(conn)


async def abandon_run(conn: Connection, run_id: UUID) -> None:
    """Mark a run as abandoned."""
    await _queries.abandon_run.execute(conn, run_id=run_id)


async def insert_run(
    conn: Connection, *, started_by: str, livemode: bool, dry_run: bool, since_days: int | None
) -> asyncpg.Record:
    """Insert a run; return its id and started_at.

    Raises UniqueViolationError if another run has just started.
    """
    row = await _queries.insert_run.fetch_one(
        conn, started_by=started_by, livemode=livemode, dry_run=dry_run, since_days=since_days
    )
    if row is None:
        raise RuntimeError("INSERT returned no row")
    await _queries.clear_marks.execute(conn)
    await _queries.delete_old_runs.execute(conn)
    return row


async def get_horizon(conn: Connection) -> int | None:
    """Return roughly when the oldest subscription was created, as Unix time; None without one."""
    horizon: int | None = await _queries.get_horizon.fetch_value(conn)
    return horizon


async def estimate_rows(conn: Connection) -> Mapping[str, int]:
    """Return the approximate number of rows by compared object type, from the statistics."""
    tables = {c.table: each.object_type for each in MIRRORED if (c := each.comparison)}
    rows = await _queries.estimate_rows.fetch(conn, tables=list(tables))
    return {tables[row["table_name"]]: row["number"] for row in rows}


async def insert_slices(conn: Connection, run_id: UUID, slices: Sequence[Slice]) -> None:
    """Insert the slices of a run."""
    await _queries.insert_slices.execute(conn, run_id=run_id, slices=[asdict(s) for s in slices])


async def list_slices(conn: Connection, run_id: UUID, step: str) -> list[Slice]:
    """Return the unfinished slices of a step, newest first."""
    rows = await _queries.list_slices.fetch(conn, run_id=run_id, step=step)
    return [Slice(**dict(row)) for row in rows]


async def take_run(conn: Connection, run_id: UUID, holder: UUID, *, livemode: bool) -> Run | None:
    """Lease a run; None if it is finished, of the other mode, or another process holds it.

    The marks do not survive a database crash; if they are lost, the comparison starts over.
    """
    row = await _queries.take_run.fetch_one(
        conn, run_id=run_id, livemode=livemode, holder=holder, lease_seconds=LEASE_SECONDS
    )
    if row is None:
        return None
    if row["attempts"] > 1 and await _queries.count_lost_marks.fetch_value(conn, run_id=run_id) > 0:
        await _queries.restart_slices.execute(conn, run_id=run_id)
    return Run(
        row["id"],
        holder,
        row["livemode"],
        row["dry_run"],
        row["since_days"],
        row["started_at"],
        row["attempts"],
    )


async def renew_lease(conn: Connection, run: Run) -> bool:
    """Renew the lease; False if another process has taken over the run."""
    renewed = await _queries.renew_lease.fetch_value(
        conn, run_id=run.id, holder=run.holder, lease_seconds=LEASE_SECONDS
    )
    return renewed is not None


async def release_run(
    conn: Connection, run: Run, error: str | None, retry_in_seconds: float
) -> None:
    """Release an unfinished run, so that another process can resume it."""
    await _queries.release_run.execute(
        conn, run_id=run.id, holder=run.holder, error=error, retry_in_seconds=retry_in_seconds
    )


async def save_progress(conn: Connection, run: Run, part: Slice, progress: Progress) -> bool:
    """Save the result of a page; False if another process has taken over the run."""
    saved = await _queries.save_progress.fetch_value(
        conn,
        run_id=run.id,
        holder=run.holder,
        lease_seconds=LEASE_SECONDS,
        slice={
            "step": part.step,
            "subject": part.subject,
            "part": part.part,
            "cursor_id": progress.cursor_id,
            "cursor_created": progress.cursor_created,
            "done": progress.done,
        },
        counts={
            "objects": progress.objects,
            "events": progress.events,
            "accounts": progress.accounts,
            "drift": progress.drifted,
            "repaired": progress.repaired,
        },
        known=progress.known,
    )
    return saved is not None


async def note_drift(conn: Connection, run: Run, drift: Sequence[Drift]) -> None:
    """Save drift; idempotent."""
    rows = [asdict(each) for each in drift]
    await _queries.insert_drift.execute(conn, run_id=run.id, drift=rows)


async def remove_drift(conn: Connection, run: Run, drift: Sequence[Drift]) -> None:
    """Remove drift that was saved too early."""
    await _queries.delete_drift.execute(
        conn,
        run_id=run.id,
        object_ids=[each.object_id for each in drift],
        fields=[each.field for each in drift],
    )


async def finish_run(conn: Connection, run: Run) -> bool:
    """Finish a run whose slices are all done; False if another process has taken it over."""
    row = await _queries.finish_run.fetch_one(conn, run_id=run.id, holder=run.holder)
    return row is not None


async def get_run(conn: Connection, run_id: UUID) -> asyncpg.Record | None:
    """Return a run and its counts."""
    return await _queries.get_run.fetch_one(conn, run_id=run_id)


async def list_runs(conn: Connection, most: int) -> Sequence[asyncpg.Record]:
    """Return the latest runs and their counts, the latest first."""
    return await _queries.list_runs.fetch(conn, most=most)


async def list_drift(
    conn: Connection, run_id: UUID, after: tuple[str, str], most: int
) -> list[Drift]:
    """Return a page of a run's drift, after an object and its field."""
    rows = await _queries.list_drift.fetch(
        conn, run_id=run_id, after_object=after[0], after_field=after[1], most=most
    )
    return [Drift(**dict(row)) for row in rows]


async def list_stopped_runs(conn: Connection) -> list[tuple[UUID, int]]:
    """Return the ids and attempts of the runs that a worker should resume."""
    rows = await _queries.list_stopped_runs.fetch(conn)
    return [(row["id"], row["attempts"]) for row in rows]


async def list_missing_events(conn: Connection, event_ids: Sequence[str]) -> set[str]:
    """Return the events that the inbox does not have."""
    rows = await _queries.list_missing_events.fetch(conn, event_ids=event_ids)
    return {row["event_id"] for row in rows}


async def claim_poll(
    conn: Connection, *, livemode: bool, quiet_seconds: float, interval_seconds: float
) -> Poll | None:
    """Claim the next poll; None if none is needed, or another worker has just polled."""
    row = await _polls.claim_poll.fetch_one(
        conn, livemode=livemode, quiet_seconds=quiet_seconds, interval_seconds=interval_seconds
    )
    return None if row is None else Poll(row["polled_at"], row["waiting_since"], row["read_until"])


async def finish_poll(
    conn: Connection, poll: Poll, *, livemode: bool, read_until: datetime, found: int
) -> None:
    """Store up to where the list has been read, and how many events were missing."""
    await _polls.finish_poll.execute(
        conn, livemode=livemode, polled_at=poll.polled_at, read_until=read_until, found=found
    )


async def list_deleted(conn: Connection, after: UUID, most: int) -> Sequence[asyncpg.Record]:
    """Return the deleted subscriptions that wait for a decision, by id."""
    return await _adoptions.list_deleted.fetch(conn, after=after, most=most)


async def mark_restored(conn: Connection) -> None:
    """Have the accounts of all subscriptions looked at before anything is sent to the services."""
    await _adoptions.mark_restored.execute(conn)


async def find_deleted(conn: Connection, name: str) -> asyncpg.Record | None:
    """Return a deleted subscription, given our id or Stripe's."""
    return await _adoptions.find_deleted.fetch_one(conn, name=name)


async def describe_deleted(conn: Connection, name: str) -> asyncpg.Record | None:
    """Return what is left of a deleted subscription, given our id or Stripe's."""
    return await _adoptions.describe_deleted.fetch_one(conn, name=name)


async def claim_deleted(
    conn: Connection, subscription_id: UUID, settled_how: str, lease_seconds: float
) -> datetime | None:
    """Claim a decision for one operator; None if another is being carried out, or was."""
    claim: datetime | None = await _adoptions.claim_deleted.fetch_value(
        conn,
        subscription_id=subscription_id,
        settled_how=settled_how,
        lease_seconds=lease_seconds,
    )
    return claim


async def release_deleted(conn: Connection, subscription_id: UUID, claim: datetime) -> None:
    """Return a claim, unless it has expired and another has been made."""
    await _adoptions.release_deleted.execute(
        conn, subscription_id=subscription_id, claimed_until=claim
    )


async def restore_deleted(conn: Connection, subscription_id: UUID, settled_how: str) -> None:
    """Insert the deleted row again, with its services, charges and customer."""
    await _adoptions.restore_deleted.execute(
        conn, subscription_id=subscription_id, settled_how=settled_how
    )


async def get_latest_paid_invoice(
    conn: Connection, stripe_subscription_id: str
) -> asyncpg.Record | None:
    """Return id and amount_paid of the latest invoice that was paid with money."""
    return await _adoptions.get_latest_paid_invoice.fetch_one(
        conn, stripe_subscription_id=stripe_subscription_id
    )
