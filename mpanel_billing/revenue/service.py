"""Brings the sum that the view `billing_mrr` reads up to date."""

from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.revenue import repository

PAGE = 2_000
MOST_PAGES = 50
"""The rest waits a minute for the next sweep; the view calculates it meanwhile."""


async def fold_revenue(pool: Pool) -> int:
    """Add what has changed to the sums, in short transactions; return how many subscriptions.

    The view is right without it, and the slower the more has changed.
    """
    folded = 0
    for _ in range(MOST_PAGES):
        async with transaction(pool) as conn:
            if not await repository.try_lock_sums(conn):
                break  # another process folds
            page, has_more = await repository.fold_changes(conn, PAGE)
        folded += page
        if not has_more:
            break
    return folded
