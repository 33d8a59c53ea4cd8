"""Further years of domains, in PostgreSQL: `billing_domain_renewals`."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, Self
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

RenewalState = Literal["due", "charged", "paid", "renewed", "unpaid", "withdrawn", "refused"]
"""The value of `billing_domain_renewals.state`."""

_queries = load_queries("renewals")


@dataclass(frozen=True, slots=True)
class Renewal:
    """A year of a domain that is charged by itself, and who pays for it; amounts in minor units.

    `expires_on`: the day of expiry that it moves; None: it is the first, of a chosen name.
    `params`: what this attempt sends, None before it was begun. `fits_plan`: it can be a line on
    an invoice of the plan. `waits_for_plan`: the next one is made before the domain expires, at
    `plan_charged_at`. `invoice_id`: ours, of the invoice that it is on.
    """

    id: UUID
    domain_id: UUID
    expires_on: date | None
    state: RenewalState
    amount: int
    currency: str
    attempt: int
    params: Mapping[str, Any] | None
    stripe_item_id: str | None
    stripe_invoice_id: str | None
    failures: int
    pay_by: datetime
    name: str
    unicode_name: str
    stripe_subscription_id: str | None
    stripe_customer_id: str | None
    plan_charged_at: datetime | None
    fits_plan: bool
    waits_for_plan: bool
    invoice_id: UUID | None

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """Read a row of `claim_due`."""
        return cls(**{name: row[name] for name in cls.__slots__})

    @property
    def key(self) -> str:
        """The idempotency key of this attempt; each call adds a word of its own."""
        return f"renewal-{self.id}-{self.attempt}"

    @property
    def description(self) -> str:
        """What the customer reads on the invoice."""
        if self.expires_on is None:
            return f"{self.unicode_name}: registration for a year"
        return f"{self.unicode_name}: renewal for a year from {self.expires_on.isoformat()}"


@dataclass(frozen=True, slots=True)
class Payable:
    """A renewal that was paid as far as our rows say; without Stripe's ids it costs nothing.

    `with_plan`: by an invoice of the plan, on which its line may be no more.
    """

    id: UUID
    attempt: int
    with_plan: bool
    stripe_item_id: str | None
    stripe_invoice_id: str | None


async def announce_prices(conn: Connection, now: datetime, notice_days: int, most: int) -> int:
    """Tell of prices that have risen; return of how many domains."""
    count: int = await _queries.announce_prices.fetch_value(
        conn, now=now, notice_days=notice_days, most=most
    )
    return count


async def record_expiring(conn: Connection, now: datetime, days: int) -> None:
    """Tell of the domains that expire within so many days, and again a week before."""
    await _queries.record_expiring.fetch_value(conn, now=now, days=days)


async def open_due(
    conn: Connection, now: datetime, days: int, most: int, *, outlives_plan: bool, livemode: bool
) -> int:
    """Make the renewals of the domains that expire within so many days; return how many.

    `outlives_plan`: also of those whose plan has ended.
    """
    rows = await _queries.open_due.fetch(
        conn, now=now, days=days, outlives_plan=outlives_plan, livemode=livemode, most=most
    )
    return len(rows)


async def claim_due(
    conn: Connection, now: datetime, lease_seconds: float, most: int, *, livemode: bool
) -> list[Renewal]:
    """Take what is to be looked at, so that no other worker does for so long."""
    rows = await _queries.claim_due.fetch(
        conn, now=now, livemode=livemode, lease_seconds=lease_seconds, most=most
    )
    return [Renewal.of(row) for row in rows]


async def begin_charge(
    conn: Connection, renewal: Renewal, params: Mapping[str, Any]
) -> Mapping[str, Any] | None:
    """Store what an attempt sends, and return what it sends; None: it is not due any more."""
    row = await _queries.begin_charge.fetch_one(
        conn, id=renewal.id, attempt=renewal.attempt, params=params
    )
    return row["params"] if row else None


async def note_charged(
    conn: Connection,
    renewal: Renewal,
    *,
    item: str | None,
    invoice: str | None,
    next_attempt_at: datetime | None,
) -> None:
    """Store what Stripe has made, and when to look again; None: Stripe tells."""
    await _queries.note_charged.execute(
        conn,
        id=renewal.id,
        attempt=renewal.attempt,
        stripe_item_id=item,
        stripe_invoice_id=invoice,
        next_attempt_at=next_attempt_at,
    )


async def note_failed(
    conn: Connection, renewal: Renewal, error: str, next_attempt_at: datetime, *, is_definite: bool
) -> None:
    """Store why a try failed; after a definite failure of a charge, the next one is another."""
    await _queries.note_failed.execute(
        conn,
        id=renewal.id,
        attempt=renewal.attempt,
        error=error,
        is_definite=is_definite,
        next_attempt_at=next_attempt_at,
    )


async def note_taken_back(
    conn: Connection, renewal: Renewal | Payable, next_attempt_at: datetime
) -> None:
    """Store that nothing of this attempt is left at Stripe; what was charged is due again."""
    await _queries.note_taken_back.execute(
        conn, id=renewal.id, attempt=renewal.attempt, next_attempt_at=next_attempt_at
    )


async def note_invoice(conn: Connection, renewal: Renewal, item: str, invoice: str) -> None:
    """Store which invoice an attempt is on."""
    await _queries.note_invoice.execute(
        conn,
        id=renewal.id,
        attempt=renewal.attempt,
        stripe_item_id=item,
        stripe_invoice_id=invoice,
    )


async def put_off(conn: Connection, renewal: Renewal, next_attempt_at: datetime) -> None:
    """Look at it again later."""
    await _queries.put_off.execute(
        conn, id=renewal.id, attempt=renewal.attempt, next_attempt_at=next_attempt_at
    )


async def note_given_back(conn: Connection, id_: UUID, error: str | None = None) -> None:
    """Store that the money of a refused one was refunded, or why it cannot be."""
    await _queries.note_given_back.execute(conn, id=id_, error=error)


@dataclass(frozen=True, slots=True)
class PaidYear:
    """A domain that was found paid until then; `is_renewable`: at the price of a renewal.

    `paid_until` is None for the first year of a name that was chosen in place of a lost one.
    """

    id: UUID
    name: str
    paid_until: datetime | None
    is_renewable: bool


async def list_payable(conn: Connection, *, livemode: bool) -> list[Payable]:
    """Return the renewals that were paid and not given back, and are not known to be."""
    rows = await _queries.list_payable.fetch(conn, livemode=livemode)
    return [Payable(**row) for row in rows]


async def note_paid(conn: Connection, ids: Collection[UUID]) -> list[PaidYear]:
    """Store which renewals were paid, and return their domains: they are to be renewed."""
    rows = await _queries.note_paid.fetch(conn, ids=list(ids))
    return [PaidYear(**row) for row in rows]


async def note_settled(conn: Connection, now: datetime, *, livemode: bool) -> int:
    """Store what the registrar made of what was paid; return of how many."""
    return len(await _queries.note_settled.fetch(conn, now=now, livemode=livemode))


async def note_unpaid(conn: Connection, now: datetime, *, livemode: bool) -> int:
    """Give up what was not paid by expiry; return how many."""
    return len(await _queries.note_unpaid.fetch(conn, now=now, livemode=livemode))


async def note_expired(conn: Connection, now: datetime) -> Sequence[str]:
    """Store which domains have expired; return the names."""
    return [row["name"] for row in await _queries.note_expired.fetch(conn, now=now)]
