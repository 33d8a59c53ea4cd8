"""Folds what has changed a page at a time, so that no transaction is long."""

from collections.abc import Awaitable, Callable

from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.database.queries import Connection

TryLock = Callable[[Connection], Awaitable[bool]]
"""Takes the right to fold until the transaction ends; False if another process has it."""

FoldPage = Callable[[Connection], Awaitable[tuple[int, bool]]]
"""Folds a page; returns how much that was, and whether there is more."""


async def fold_pages(pool: Pool, try_lock: TryLock, fold_page: FoldPage, most: int) -> int:
    """Fold at most `most` pages, each in a transaction; return how much that was.

    It stops early if nothing is left, or while another process folds.
    """
    folded = 0
    for _ in range(most):
        async with transaction(pool) as conn:
            if not await try_lock(conn):
                break
            page, has_more = await fold_page(conn)
        folded += page
        if not has_more:
            break
    return folded
