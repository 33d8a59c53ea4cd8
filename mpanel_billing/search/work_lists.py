"""What waits for a person, in lists: trouble, what is watched, and who owes."""

from collections.abc import Mapping, Sequence
from typing import Any

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.search import repository

Row = Mapping[str, Any]


async def list_trouble(pool: Pool, kind: str | None, most: int) -> Sequence[Row]:
    """Return what a person must act on, the oldest first: so many of one kind, or of each."""
    async with acquired(pool) as conn:
        return await repository.list_trouble(conn, kind, most)


async def list_watched(pool: Pool, kind: str | None, most: int) -> Sequence[Row]:
    """Return what Stripe or time settles, the oldest first: so many of one kind, or of each."""
    async with acquired(pool) as conn:
        return await repository.list_watched(conn, kind, most)


async def list_debtors(pool: Pool, most: int, *, livemode: bool) -> Sequence[Row]:
    """Return the invoices whose payment has failed or is late; whom Stripe tries next first."""
    async with acquired(pool) as conn:
        return await repository.list_debtors(conn, most, livemode=livemode)
