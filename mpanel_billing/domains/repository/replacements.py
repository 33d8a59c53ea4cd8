"""Names that customers choose in place of those that could not be obtained, in PostgreSQL."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.domains.names import DomainName
from mpanel_billing.domains.repository.names import DomainMode, domain_row

_queries = load_queries("replacements")


@dataclass(frozen=True, slots=True)
class LostName:
    """A name that could not be obtained, and the subscription whose order it is of.

    `is_own`: it was to be the tenant's; `is_included`: the term includes that. `order_paid`: the
    term is paid. `is_replaceable`: another one can be chosen now. `vouched_customer_id`: whose the
    order is, if mPanel vouches for that.
    """

    id: UUID
    name: str
    subscription_id: UUID
    vouched_customer_id: UUID | None
    livemode: bool | None
    currency: str | None
    is_own: bool
    is_included: bool
    order_paid: bool
    is_replaceable: bool

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """Read a row of `get_lost`."""
        return cls(**{name: row[name] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class ChosenName:
    """A name that is to take the place of a lost one, or has."""

    id: UUID
    name: str
    mode: DomainMode


@dataclass(frozen=True, slots=True)
class FirstYear:
    """What is charged for a chosen name, in minor units; `renewal`: for each further year."""

    amount: int
    currency: str
    renewal: int | None
    livemode: bool
    pay_by: datetime


@dataclass(frozen=True, slots=True)
class Untold:
    """An order that Stripe's metadata still has with a lost name; `metadata` is ours."""

    id: UUID
    stripe_subscription_id: str
    metadata: Mapping[str, Any]


async def get_lost(conn: Connection, id_: UUID) -> LostName | None:
    """Return a name of an order, and lock it until the transaction ends; None: there is none."""
    row = await _queries.get_lost.fetch_one(conn, id=id_)
    return LostName.of(row) if row else None


async def find_lost(conn: Connection, subscription_id: UUID, name: DomainName) -> UUID | None:
    """Return the name of an order that could not be obtained."""
    found: UUID | None = await _queries.find_lost.fetch_value(
        conn, subscription_id=subscription_id, name=name.ascii
    )
    return found


async def find_chosen(conn: Connection, lost_id: UUID) -> ChosenName | None:
    """Return the name that is to take its place, or has."""
    row = await _queries.find_chosen.fetch_one(conn, lost_id=lost_id)
    return ChosenName(**row) if row else None


async def choose_name(
    conn: Connection,
    lost_id: UUID,
    name: DomainName,
    mode: DomainMode,
    year: FirstYear | None,
) -> UUID | None:
    """Record the name that is to take the place of a lost one, and have its first year charged.

    `year`: None for what its buyer has already. Returns None if the order was for the name already.
    """
    await _queries.drop_lapsed.execute(conn, lost_id=lost_id)
    chosen: UUID | None = await _queries.choose_name.fetch_value(
        conn,
        lost_id=lost_id,
        **domain_row(name, mode),
        currency=year.currency if year else None,
        renewal_price=year.renewal if year else None,
    )
    if chosen is not None and year is not None:
        await _queries.charge_first_year.execute(
            conn,
            domain_id=chosen,
            amount=year.amount,
            currency=year.currency,
            livemode=year.livemode,
            pay_by=year.pay_by,
        )
    return chosen


async def put_in_place(conn: Connection, id_: UUID) -> UUID | None:
    """Have the order be for a chosen name, which is paid for or its buyer's own.

    Returns the subscription; None if that has ended.
    """
    changed: UUID | None = await _queries.put_in_place.fetch_value(conn, id=id_)
    return changed


async def list_untold(conn: Connection, most: int, *, livemode: bool) -> list[Untold]:
    """Return what Stripe is to be told, the oldest first."""
    rows = await _queries.list_untold.fetch(conn, livemode=livemode, most=most)
    return [Untold(**row) for row in rows]


async def note_told(conn: Connection, id_: UUID, retry_seconds: float | None = None) -> None:
    """Store that Stripe knows which name the order is for, or when to try again to tell."""
    await _queries.note_told.execute(conn, id=id_, retry_seconds=retry_seconds)
