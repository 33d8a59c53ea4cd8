"""Keeps the movements of the revenue as sums, and compares them with the whole ledger.

docs/decisions/0068-movements-kept-as-sums.md says how and why.
"""

import logging
from collections.abc import Sequence

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.revenue import repository
from mpanel_billing.revenue.figures import Row

logger = logging.getLogger(__name__)

PAGE = 1_000
MOST_PAGES = 50
"""The rest waits a minute for the next sweep; the views calculate it meanwhile."""


async def fold_movements(pool: Pool) -> int:
    """Bring the kept movements up to date, in short transactions; return of how many customers.

    The views are right without it, and the slower the more has changed.
    """
    folded = 0
    for _ in range(MOST_PAGES):
        async with transaction(pool) as conn:
            if not await repository.try_lock_movements(conn):
                break  # another process folds
            page, has_more = await repository.fold_movements(conn, PAGE)
        folded += page
        if not has_more:
            break
    return folded


async def rebuild_movements(pool: Pool) -> int:
    """Compute all that is kept from the ledger, in one transaction; return of how many customers.

    Who reads meanwhile sees what was kept before.
    """
    folded, has_more = 0, True
    async with transaction(pool) as conn:
        await repository.lock_movements(conn)
        await repository.forget_movements(conn)
        while has_more:
            page, has_more = await repository.fold_movements(conn, PAGE)
            folded += page
    logger.info("movements rebuilt", extra={"customers": folded})
    return folded


async def find_differences(pool: Pool) -> Sequence[Row]:
    """Return where the movements that are shown differ from those of the whole ledger."""
    async with acquired(pool) as conn:
        return [dict(row) for row in await repository.list_differences(conn)]


async def find_wrong_totals(pool: Pool) -> Sequence[Row]:
    """Return the currencies whose movements do not add up to the ledger; cheap, names no day."""
    async with acquired(pool) as conn:
        return [dict(row) for row in await repository.list_totals(conn)]
