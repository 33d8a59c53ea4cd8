"""Keeps figures as sums: the movements of the revenue, and what came and went on each day.

docs/decisions/0068-movements-kept-as-sums.md says how and why.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.revenue import repository
from mpanel_billing.revenue.figures import Row
from mpanel_billing.revenue.folding_pages import fold_pages
from mpanel_billing.revenue.periods import begin_of, shift

logger = logging.getLogger(__name__)

PAGE = 1_000
MOST_PAGES = 50
"""The rest waits for the next sweep, a minute later; until then the views calculate it."""

DAYS = 20
PAGES_OF_DAYS = 5
"""A day of 3,000 payments takes a tenth of a second; a year is kept after a few sweeps."""

KEPT_MONTHS = 12
"""The figures show the present month and eleven before it."""

STILL_CHANGING = timedelta(days=3)
"""A change of an older day is noted: no transaction takes two days (billing_note_cash)."""


async def fold_movements(pool: Pool) -> int:
    """Bring the kept movements up to date, in short transactions; return of how many customers.

    The views are right without it, and the slower the more has changed.
    """
    return await fold_pages(
        pool,
        repository.try_lock_movements,
        lambda conn: repository.fold_movements(conn, PAGE),
        MOST_PAGES,
    )


async def fold_cash(pool: Pool) -> int:
    """Keep what came and went on each day of a year, in short transactions; return how many days.

    The latest days are not kept: they still change. Figures read their rows.
    """
    today = datetime.now(UTC).date()
    days = (shift(begin_of(today, "month"), "month", -KEPT_MONTHS), today - STILL_CHANGING)
    return await fold_pages(
        pool,
        repository.try_lock_cash,
        lambda conn: repository.fold_cash(conn, *days, DAYS),
        PAGES_OF_DAYS,
    )


async def rebuild_movements(pool: Pool) -> int:
    """Compute all that is kept from the ledger, in one transaction; return of how many customers.

    Until it commits, readers see what was kept before.
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
    """Return the currencies whose movements do not add up to the revenue.

    It compares sums, and does not read the ledger: `find_differences` does.
    """
    async with acquired(pool) as conn:
        return [dict(row) for row in await repository.list_totals(conn)]
