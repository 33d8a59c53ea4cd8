"""Brings the sum that the view `billing_mrr` reads up to date."""

from mpanel_billing.database.pool import Pool
from mpanel_billing.revenue import repository
from mpanel_billing.revenue.folding_pages import fold_pages

PAGE = 2_000
MOST_PAGES = 50
"""The rest waits a minute for the next sweep; the view calculates it meanwhile."""


async def fold_revenue(pool: Pool) -> int:
    """Add what has changed to the sums, in short transactions; return how many subscriptions.

    The view is right without it, and the slower the more has changed.
    """
    return await fold_pages(
        pool,
        repository.try_lock_sums,
        lambda conn: repository.fold_changes(conn, PAGE),
        MOST_PAGES,
    )
