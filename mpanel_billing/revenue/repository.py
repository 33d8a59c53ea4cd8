"""The revenue as a sum, figures, and taxes. Functions run in the caller's transaction."""

from collections.abc import Sequence
from datetime import date, datetime

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("revenue")
_taxes = load_queries("taxes")
_figures = load_queries("figures")


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


async def list_movements(
    conn: Connection, period: str, begins_on: date, ends_on: date, *, livemode: bool
) -> Sequence[asyncpg.Record]:
    """Return the movements of periods, and of all before them together (starts_on None)."""
    return await _figures.list_movements.fetch(
        conn, livemode=livemode, period=period, begins_on=begins_on, ends_on=ends_on
    )


async def list_cohorts(
    conn: Connection, begins_on: date, ends_on: date, *, livemode: bool
) -> Sequence[asyncpg.Record]:
    """Return what became of those who began to pay in these months, as `billing_cohorts` has it."""
    return await _figures.list_cohorts.fetch(
        conn, livemode=livemode, begins_on=begins_on, ends_on=ends_on
    )


async def list_cash(
    conn: Connection, begins_at: datetime, ends_at: datetime, *, livemode: bool
) -> Sequence[asyncpg.Record]:
    """Return what was collected and given back in whole months, as `billing_cash` has it."""
    return await _figures.list_cash.fetch(
        conn, livemode=livemode, begins_at=begins_at, ends_at=ends_at
    )


async def list_failed_payments(
    conn: Connection, begins_at: datetime, ends_at: datetime, *, livemode: bool
) -> Sequence[asyncpg.Record]:
    """Return payments by the month in which they first failed, and what of them came back."""
    return await _figures.list_failed_payments.fetch(
        conn, livemode=livemode, begins_at=begins_at, ends_at=ends_at
    )


async def list_trials(
    conn: Connection, begins_at: datetime, ends_at: datetime, *, livemode: bool
) -> Sequence[asyncpg.Record]:
    """Return trials by the month in which they ended, and how many were paid for afterwards."""
    return await _figures.list_trials.fetch(
        conn, livemode=livemode, begins_at=begins_at, ends_at=ends_at
    )
