"""The sums of `billing_revenue_sums`, and taxes. Functions run in the caller's transaction."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("revenue")
_taxes = load_queries("taxes")


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


async def sum_taxes(
    conn: Connection, begins_at: datetime, ends_at: datetime, *, livemode: bool
) -> Sequence[asyncpg.Record]:
    """Return the taxes of whole months, as `billing_tax` has them."""
    return await _taxes.sum_taxes.fetch(
        conn, begins_at=begins_at, ends_at=ends_at, livemode=livemode
    )


async def list_tax_lines(
    conn: Connection, begins_at: datetime, ends_at: datetime, *, livemode: bool
) -> Sequence[asyncpg.Record]:
    """Return the taxes of a time by document, as `billing_tax_lines` has them."""
    return await _taxes.list_tax_lines.fetch(
        conn, begins_at=begins_at, ends_at=ends_at, livemode=livemode
    )
