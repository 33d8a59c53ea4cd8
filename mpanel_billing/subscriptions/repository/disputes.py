"""Disputes, and the evidence for them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_disputes = load_queries("disputes")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which disputes: one, or those of a customer, or to be answered; None: any.

    At most `most`, after the dispute `after`.
    """

    dispute_id: str | None = None
    customer_id: UUID | None = None
    only_open: bool = False
    after: str | None = None
    most: int = 1


async def list_disputes(
    conn: Connection, wanted: Wanted, *, livemode: bool
) -> Sequence[asyncpg.Record]:
    """Return the latest disputes; with `only_open` those to be answered, the most urgent first."""
    return await _disputes.list_disputes.fetch(conn, livemode=livemode, **asdict(wanted))


async def get_evidence(
    conn: Connection, stripe_dispute_id: str, *, livemode: bool
) -> asyncpg.Record | None:
    """Return what our records say about a disputed payment; None for an unknown dispute."""
    return await _disputes.get_evidence.fetch_one(
        conn, stripe_dispute_id=stripe_dispute_id, livemode=livemode
    )


async def claim_evidence(
    conn: Connection, stripe_dispute_id: str, lease_seconds: float
) -> datetime | None:
    """Claim the evidence of a dispute for one request; None if another has it."""
    claim: datetime | None = await _disputes.claim_evidence.fetch_value(
        conn, stripe_dispute_id=stripe_dispute_id, lease_seconds=lease_seconds
    )
    return claim


async def release_evidence(conn: Connection, stripe_dispute_id: str, claim: datetime) -> None:
    """Return a claim, unless it has expired and another has been made."""
    await _disputes.release_evidence.execute(
        conn, stripe_dispute_id=stripe_dispute_id, claimed_until=claim
    )


async def waive_dispute(
    conn: Connection, stripe_dispute_id: str, by: str, reason: str
) -> str | None:
    """Record that the subscription goes on; return the payment, None for an unknown dispute."""
    intent: str | None = await _disputes.waive.fetch_value(
        conn, stripe_dispute_id=stripe_dispute_id, waived_by=by, waived_reason=reason
    )
    return intent


async def list_disputed_to_end(
    conn: Connection, *, livemode: bool, most: int
) -> list[tuple[UUID, str]]:
    """Return subscriptions that go on although they are disputed, each with its dispute."""
    rows = await _disputes.list_to_end.fetch(conn, livemode=livemode, most=most)
    return [(row["subscription_id"], row["stripe_dispute_id"]) for row in rows]
