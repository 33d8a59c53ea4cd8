"""The sums of `billing_revenue_sums`. Functions run in the caller's transaction."""

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("revenue")


async def try_lock_sums(conn: Connection) -> bool:
    """Take the right to fold until the transaction ends; False if another process has it."""
    return bool(await _queries.try_lock_sums.fetch_value(conn))


async def fold_changes(conn: Connection, most: int) -> tuple[int, bool]:
    """Add what has changed to the sums, by at most `most` notes of changes.

    Returns of how many subscriptions, and whether there may be more.
    """
    row = await _queries.fold_changes.fetch_one(conn, most=most)
    assert row is not None  # noqa: S101 - a query without FROM returns a row
    return row["folded"], row["has_more"]
