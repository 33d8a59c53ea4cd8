"""Who pays which price."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import NotFoundError
from mpanel_billing.search import repository

Row = Mapping[str, Any]

MOST_COUNTED = 1000
"""So that a list is quick, however many pay a price."""
MOST_COUNTED_OF_ONE = 10_000
"""Of the page of one price, which is to be there within a tenth of a second."""

_FIRST = UUID(int=0)


async def list_prices(pool: Pool, kind: str, most: int, *, livemode: bool) -> Sequence[Row]:
    """Return the prices of a kind of product that are sold or still paid; `payers` of them at most.

    It is one more than `MOST_COUNTED` if there are more.
    """
    async with acquired(pool) as conn:
        return await repository.list_prices(
            conn, kind, most, most_counted=MOST_COUNTED + 1, livemode=livemode
        )


async def get_price(
    pool: Pool, id_: UUID, *, livemode: bool, most_counted: int | None = MOST_COUNTED_OF_ONE
) -> Row:
    """Return a price and how many pay it; NotFoundError.

    `payers` is one more than `most_counted` if there are more; None: all are counted.
    """
    most = None if most_counted is None else most_counted + 1
    async with acquired(pool) as conn:
        row = await repository.get_price(conn, id_, most_counted=most, livemode=livemode)
    if row is None:
        raise NotFoundError("There is no such price.")
    return row


async def list_payers(
    pool: Pool, id_: UUID, after: UUID | None, most: int, *, livemode: bool
) -> Sequence[Row]:
    """Return a page of the subscriptions that have a price, by their ids."""
    async with acquired(pool) as conn:
        return await repository.list_payers(conn, id_, after or _FIRST, most, livemode=livemode)
