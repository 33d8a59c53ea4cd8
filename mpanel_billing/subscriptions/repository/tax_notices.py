"""Who could be taxed, and who was told that they will be, in `billing_tax_notices`."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("tax_notices")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which subscriptions are meant: one, those with a product, or all."""

    livemode: bool
    product: str | None = None
    subscription_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A subscription that Stripe bills; `why` it is left alone, None: it is not.

    `not_before`: its customer was told that it is not taxed before; None: they were not.
    `is_begun`: Stripe was asked to tax it, and it is not known what became of that.
    """

    id: UUID
    stripe_subscription_id: str
    email: str | None
    why: str | None
    not_before: datetime | None
    is_begun: bool

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """Read a row of `list_candidates`."""
        return cls(**{name: row[name] for name in cls.__slots__})


async def list_candidates(
    conn: Connection, chosen: Chosen, after: UUID, most: int
) -> list[Candidate]:
    """Return a page of the subscriptions that are meant, by their ids."""
    rows = await _queries.list_candidates.fetch(
        conn,
        product=chosen.product,
        subscription_id=chosen.subscription_id,
        livemode=chosen.livemode,
        after=after,
        most=most,
    )
    return [Candidate.of(row) for row in rows]


async def is_sold(conn: Connection, product: str) -> bool:
    """Return whether there is such a product, on sale or not."""
    return bool(await _queries.is_sold.fetch_value(conn, product=product))


async def is_anyone_told(conn: Connection, *, livemode: bool) -> bool:
    """Return whether a receiver gets tax.starting."""
    return bool(await _queries.is_anyone_told.fetch_value(conn, livemode=livemode))


async def tell(
    conn: Connection,
    subscription_id: UUID,
    currency: str,
    *,
    total_before: int,
    total: int,
    tax: int,
    notice_days: int,
    told_by: str,
) -> datetime | None:
    """Record a notice and its message; return when it is over, None if there is one already."""
    row = await _queries.tell.fetch_one(
        conn,
        subscription_id=subscription_id,
        currency=currency,
        total_before=total_before,
        total=total,
        tax=tax,
        notice_days=notice_days,
        told_by=told_by,
    )
    return row["not_before"] if row else None


async def note_enabled(conn: Connection, subscription_id: UUID) -> None:
    """Store that Stripe computes the taxes, if the customer was told of them."""
    await _queries.note_enabled.execute(conn, subscription_id=subscription_id)


async def list_due(conn: Connection, most: int, *, livemode: bool) -> list[tuple[UUID, str]]:
    """Return the subscriptions whose notice is over, and who ordered it."""
    rows = await _queries.list_due.fetch(conn, livemode=livemode, most=most)
    return [(row["subscription_id"], row["told_by"]) for row in rows]


async def put_off(
    conn: Connection, subscription_id: UUID, next_attempt_at: datetime | None, left_because: str
) -> None:
    """Store why what was told is not taxed, and when the worker looks again (None: never)."""
    await _queries.put_off.execute(
        conn,
        subscription_id=subscription_id,
        next_attempt_at=next_attempt_at,
        left_because=left_because,
    )


async def is_notice_over(conn: Connection, subscription_id: UUID) -> bool:
    """Return whether a notice stands and is over; until the transaction ends it is kept."""
    return bool(await _queries.hold_notice.fetch_value(conn, subscription_id=subscription_id))


async def withdraw(conn: Connection, chosen: Chosen) -> list[UUID]:
    """Take back the notices of what is not taxed; return of which subscriptions."""
    await _queries.lock_notices.execute(conn, livemode=chosen.livemode)
    rows = await _queries.withdraw.fetch(
        conn,
        product=chosen.product,
        subscription_id=chosen.subscription_id,
        livemode=chosen.livemode,
    )
    return [row["subscription_id"] for row in rows]
