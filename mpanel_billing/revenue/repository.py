"""The sums of `billing_revenue_sums`. Functions run in the caller's transaction."""

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("revenue")


async def try_lock_sums(conn: Connection) -> bool:
    """Take the right to fold until the transaction ends; False if another process has it."""
    return bool(await _queries.try_lock_sums.fetch_value(conn))


async def fold_changes(conn: Connection, most: int) -> int:
    """Add what has changed of at most `most` subscriptions to the sums; return how many."""
    return int(await _queries.fold_changes.fetch_value(conn, most=most))
