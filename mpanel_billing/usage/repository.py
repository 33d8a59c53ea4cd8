"""The rows of usage. Functions run in the caller's transaction, if there is one."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from mpanel_billing.catalogue.usage import Aggregation, read_tiers
from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.usage.model import Record, UsageReport

_queries = load_queries("usage")
_reports = load_queries("usage_reports")

LEASE_SECONDS = 60.0
"""How long a claimed event belongs to a process: longer than its call to Stripe and its record."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A meter event that this process sends.

    `is_late`: no invoice will bill it any more. `was_tried`: Stripe may have it. `doubtful`: and
    may have forgotten its identifier.
    """

    id: UUID
    meter: str
    stripe_customer_id: str
    value: int
    used_at: datetime
    aggregation: Aggregation
    stripe_meter_id: str | None
    failures: int
    doubtful: bool
    was_tried: bool
    is_late: bool


async def store_records(
    conn: Connection, records: Sequence[Record], owner_id: UUID | None, *, livemode: bool
) -> Sequence[tuple[str, bool]]:
    """Store what can be stored; return of each, in their order, stored, known or why not.

    And whether the usage that it adds to has a limit.
    """
    rows = await _queries.store_records.fetch(
        conn,
        records=_rows(enumerate(records)),
        owner_id=owner_id,
        livemode=livemode,
    )
    return [(row["outcome"], row["is_limited"]) for row in rows]


async def list_known(
    conn: Connection, records: Sequence[Record], places: Iterable[int]
) -> dict[int, str]:
    """Return of each of the places why it was known: duplicate, id_reused or second_taken."""
    asked = _rows((place, records[place]) for place in places)
    rows = await _queries.list_known.fetch(conn, records=asked)
    return {row["place"]: row["outcome"] for row in rows}


def _rows(records: Iterable[tuple[int, Record]]) -> list[dict[str, Any]]:
    return [
        {
            "place": place,
            "id": record.id,
            "subscription_id": str(record.subscription_id),
            "meter": record.meter,
            "quantity": record.quantity,
            "used_at": record.used_at.isoformat(),
        }
        for place, record in records
    ]


async def claim_heads(conn: Connection, most: int, *, livemode: bool) -> list[UUID]:
    """Claim the first event of up to `most` customers and meters that have one due."""
    rows = await _queries.claim_heads.fetch(
        conn, most=most, seconds=LEASE_SECONDS, livemode=livemode
    )
    return [row["id"] for row in rows]


async def get_claimed(conn: Connection, event_id: UUID) -> Claimed | None:
    """Return a claimed event as it is now; None if another process has dealt with it."""
    row = await _queries.get_claimed.fetch_one(conn, id=event_id, seconds=LEASE_SECONDS)
    return Claimed(**{**row, "is_late": bool(row["is_late"])}) if row else None


async def finish_event(
    conn: Connection,
    event_id: UUID,
    state: Literal["sent", "late", "refused"],
    *,
    sent_at: datetime | None = None,
    error: str | None = None,
) -> UUID | None:
    """Note what became of an event, and claim the next one of its customer and meter."""
    claimed: UUID | None = await _queries.finish_event.fetch_value(
        conn, id=event_id, state=state, sent_at=sent_at, error=error, seconds=LEASE_SECONDS
    )
    return claimed


async def retry_event(conn: Connection, event_id: UUID, error: str, seconds: float) -> None:
    """Try an event again after that time."""
    await _queries.retry_event.execute(conn, id=event_id, error=error, seconds=seconds)


async def note_missing(conn: Connection, event_id: UUID) -> None:
    """Note that Stripe certainly does not have an event."""
    await _queries.note_missing.execute(conn, id=event_id)


async def get_sent_sum(conn: Connection, event_id: UUID, since: datetime, until: datetime) -> int:
    """Return what Stripe has been sent beside an event, of its customer and meter in that time."""
    total = await _queries.get_sent_sum.fetch_value(conn, id=event_id, since=since, until=until)
    return int(total)


async def seconds_to_next(conn: Connection) -> float | None:
    """Return in how many seconds something is due; None if nothing waits."""
    found = [
        await _queries.seconds_to_next.fetch_value(conn),
        await _reports.seconds_to_report.fetch_value(conn),
    ]
    return min((seconds for seconds in found if seconds is not None), default=None)


async def settle_event(conn: Connection, event_id: UUID, by: str, reason: str) -> UUID | None:
    """Note that an operator has dealt with an event; return its subscription, if it waits."""
    subscription_id: UUID | None = await _queries.settle_event.fetch_value(
        conn, id=event_id, by=by, reason=reason
    )
    return subscription_id


async def renew_limited(
    conn: Connection, subscription_ids: Collection[UUID]
) -> list[tuple[UUID, int]]:
    """Return those that a limit suspends from now on, or no longer, with their work's version."""
    rows = await _queries.renew_limited.fetch(conn, subscription_ids=list(subscription_ids))
    return [(row["subscription_id"], row["version"]) for row in rows]


async def renew_freed(conn: Connection, most: int) -> list[tuple[UUID, int]]:
    """Return those that are suspended for a limit and no longer should be, with their version."""
    rows = await _queries.renew_freed.fetch(conn, most=most)
    return [(row["subscription_id"], row["version"]) for row in rows]


async def lift_limits(conn: Connection, subscription_id: UUID, by: str, reason: str) -> list[str]:
    """Lift the limits that suspend a subscription for the rest of its term; return the meters."""
    rows = await _queries.lift_limits.fetch(
        conn, subscription_id=subscription_id, by=by, reason=reason
    )
    return sorted(row["meter"] for row in rows)


async def list_lifted(conn: Connection, subscription_id: UUID) -> list[str]:
    """Return the meters whose limit was reached and is lifted for the rest of the term."""
    rows = await _queries.list_lifted.fetch(conn, subscription_id=subscription_id)
    return sorted(row["meter"] for row in rows)


async def list_current(conn: Connection, subscription_id: UUID) -> list[dict[str, Any]]:
    """Return the usage of a subscription in its present term, one for each meter."""
    rows = await _queries.list_current.fetch(conn, subscription_id=subscription_id)
    return [{**row, "tiers": read_tiers(row["tiers"])} for row in rows]


async def list_sent(
    conn: Connection,
    after: tuple[UUID, str],
    most: int,
    *,
    lag_seconds: float,
    subscription_id: UUID | None,
    since: datetime | None,
    livemode: bool,
) -> list[dict[str, Any]]:
    """Return what Stripe was sent of the next meters, in their present and their former term."""
    rows = await _queries.list_sent.fetch(
        conn,
        after_subscription=after[0],
        after_meter=after[1],
        most=most,
        lag_seconds=lag_seconds,
        subscription_id=subscription_id,
        since=since,
        livemode=livemode,
    )
    return [dict(row) for row in rows]


async def claim_report(conn: Connection, *, livemode: bool) -> str | None:
    """Claim a report that is due; return its event."""
    event_id: str | None = await _reports.claim_report.fetch_value(
        conn, seconds=LEASE_SECONDS, livemode=livemode
    )
    return event_id


async def retry_report(conn: Connection, event_id: str, error: str) -> None:
    """Ask for a report again, ever later."""
    await _reports.retry_report.execute(conn, event_id=event_id, error=error)


async def finish_report(conn: Connection, event_id: str, report: UsageReport) -> None:
    """Note what a report says; the meter events that it names are not billed."""
    errors = [{"id": str(each.id), "error": each.error} for each in report.named]
    await _reports.finish_report.execute(
        conn, event_id=event_id, dropped=report.dropped, detail=report.detail, errors=errors
    )


async def settle_report(conn: Connection, event_id: str, by: str) -> bool:
    """Note that an operator has dealt with a report; False if none such waits."""
    return await _reports.settle_report.fetch_value(conn, event_id=event_id, by=by) is not None
