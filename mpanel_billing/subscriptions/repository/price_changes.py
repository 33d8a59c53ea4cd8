"""Other prices for those who have an item already, in `billing_price_changes`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, Self
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("price_changes")

Verdict = Literal["due", "early", "held up", "gone"]


@dataclass(frozen=True, slots=True)
class SoldPrice:
    """A price of a product, on sale (`active`) or not, and how many subscriptions have it.

    With a `meter` it bills usage.
    """

    id: UUID
    stripe_price_id: str
    lookup_key: str
    billing_cycle: str
    currency: str
    unit_amount: int
    active: bool
    livemode: bool
    meter: str | None
    product_name: str
    subscriptions: int

    @classmethod
    def of(cls, row: asyncpg.Record) -> Self:
        """Read a row of `list_prices`."""
        return cls(**{name: row[name] for name in cls.__slots__})


@dataclass(frozen=True, slots=True)
class ComingPrice:
    """A price change that was announced, and whether it can be made now.

    `item` and `price` are Stripe's ids, `effective_at` the next renewal that it can count from.
    `quantity` is what the item has now; None if its price is metered.
    """

    verdict: Verdict
    item: str | None
    price: str
    quantity: int | None
    effective_at: datetime | None


@dataclass(frozen=True, slots=True)
class EarlyPrice:
    """A price that Stripe has already, and that counts from a renewal which has not begun.

    `item` and `former_price` are Stripe's ids; `quantity` is None if the price is metered.
    """

    change_id: UUID
    item: str
    quantity: int | None
    former_price: str


async def list_early(conn: Connection, subscription_id: UUID) -> list[EarlyPrice]:
    """Return the prices of a subscription that a term which began now would cost too soon."""
    rows = await _queries.list_early.fetch(conn, subscription_id=subscription_id)
    return [EarlyPrice(*row) for row in rows]


async def reopen(conn: Connection, ids: Sequence[UUID]) -> None:
    """Note that Stripe has the old prices again, so that the new ones are made later."""
    await _queries.reopen.execute(conn, ids=ids)


async def list_prices(conn: Connection, product: str) -> list[SoldPrice]:
    """Return the recurring prices that a product has or had, as far as Stripe knows them."""
    return [SoldPrice.of(row) for row in await _queries.list_prices.fetch(conn, product=product)]


async def list_candidates(
    conn: Connection, old_price_id: UUID, after: UUID, most: int
) -> list[UUID]:
    """Return a page of the subscriptions whose price can change, by their ids."""
    rows = await _queries.list_candidates.fetch(
        conn, old_price_id=old_price_id, after=after, most=most
    )
    return [row["id"] for row in rows]


async def announce(
    conn: Connection,
    subscription_ids: Sequence[UUID],
    old_price_id: UUID,
    new_price_id: UUID,
    *,
    starts_at: datetime,
    notice_days: int,
    lead_days: int,
) -> list[datetime]:
    """Record the changes, and a message for each; return from when they count."""
    rows = await _queries.announce.fetch(
        conn,
        subscription_ids=subscription_ids,
        old_price_id=old_price_id,
        new_price_id=new_price_id,
        starts_at=starts_at,
        notice_days=notice_days,
        lead_days=lead_days,
    )
    return [row["effective_at"] for row in rows]


async def take_effect(
    conn: Connection, subscription_ids: Sequence[UUID], old_price_id: UUID
) -> None:
    """Let what is announced count at once, in a transaction that is taken back."""
    await _queries.take_effect.execute(
        conn, subscription_ids=subscription_ids, old_price_id=old_price_id
    )


async def get_revenue(conn: Connection, subscription_ids: Sequence[UUID]) -> Decimal:
    """Return what subscriptions add to the monthly recurring revenue, in minor units."""
    revenue: Decimal = await _queries.get_revenue.fetch_value(
        conn, subscription_ids=subscription_ids
    )
    return revenue


async def count_left(
    conn: Connection, product: str, old_price_id: UUID, new_price_id: UUID
) -> Mapping[str, int]:
    """Count the subscriptions with the product that are left alone, by why."""
    rows = await _queries.count_left.fetch(
        conn, product=product, old_price_id=old_price_id, new_price_id=new_price_id
    )
    return {row["why"]: row["subscriptions"] for row in rows}


async def is_anyone_told(conn: Connection, *, livemode: bool) -> bool:
    """Return whether a receiver gets price.changing."""
    return bool(await _queries.is_anyone_told.fetch_value(conn, livemode=livemode))


async def lock_standing(conn: Connection, old_price_id: UUID, new_price_id: UUID) -> list[UUID]:
    """Lock what is announced and not made yet, until the transaction ends; return the ids."""
    rows = await _queries.lock_standing.fetch(
        conn, old_price_id=old_price_id, new_price_id=new_price_id
    )
    return [row["id"] for row in rows]


async def lock_coming(conn: Connection, subscription_id: UUID) -> None:
    """Let nothing that is announced to a subscription be called off in this transaction."""
    await _queries.lock_coming.fetch(conn, subscription_id=subscription_id)


async def withdraw(conn: Connection, ids: Sequence[UUID]) -> int:
    """Call off those that Stripe has not been asked for, and return how many."""
    return len(await _queries.withdraw.fetch(conn, ids=ids))


async def list_due(
    conn: Connection, now: datetime, most: int, *, livemode: bool
) -> list[tuple[UUID, UUID]]:
    """Return the price changes to be looked at now: (id, subscription)."""
    rows = await _queries.list_due.fetch(conn, now=now, livemode=livemode, most=most)
    return [(row["id"], row["subscription_id"]) for row in rows]


async def get_change(
    conn: Connection, id_: UUID, now: datetime, lead_days: int
) -> ComingPrice | None:
    """Return a price change that stands, and what is to be done with it now."""
    row = await _queries.get_change.fetch_one(conn, id=id_, now=now, lead_days=lead_days)
    if row is None:
        return None
    return ComingPrice(
        verdict=row["verdict"],
        item=row["stripe_subscription_item_id"],
        price=row["stripe_price_id"],
        quantity=row["quantity"],
        effective_at=row["effective_at"],
    )


async def put_off(
    conn: Connection, id_: UUID, effective_at: datetime | None, next_attempt_at: datetime
) -> None:
    """Store from when a price change counts, if that is known, and when it is looked at next."""
    await _queries.put_off.execute(
        conn, id=id_, effective_at=effective_at, next_attempt_at=next_attempt_at
    )


async def note_made(conn: Connection, id_: UUID) -> None:
    """Store that Stripe has the new price."""
    await _queries.note_made.execute(conn, id=id_)


async def settle(conn: Connection, id_: UUID) -> None:
    """Close the change of an item that has not the old price any more."""
    await _queries.settle.execute(conn, id=id_)
