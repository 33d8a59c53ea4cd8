"""The revenue as a sum, figures, and taxes. Functions run in the caller's transaction."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("revenue")
_taxes = load_queries("taxes")
_figures = load_queries("figures")
_movements = load_queries("movements")
_rates = load_queries("exchange_rates")
_cash = load_queries("cash_days")

WHOLE_LEDGER_SECONDS = 600.0
"""It takes seconds to compute all of it, a minute for millions of subscriptions."""


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


async def try_lock_movements(conn: Connection) -> bool:
    """Take the right to fold movements until the transaction ends; False if another has it."""
    return bool(await _movements.try_lock_movements.fetch_value(conn))


async def lock_movements(conn: Connection) -> None:
    """Wait for the right to fold movements, and keep it until the transaction ends."""
    await _movements.lock_movements.execute(conn)


async def fold_movements(conn: Connection, most: int) -> tuple[int, bool]:
    """Bring the movements that are kept up to date, by at most `most` notes of changes.

    Returns of how many customers, and whether there may be more.
    """
    row = await _movements.fold_movements.fetch_one(conn, most=most)
    assert row is not None  # noqa: S101 - a query without FROM returns a row
    return row["folded"], row["has_more"]


async def forget_movements(conn: Connection) -> None:
    """Delete all movements that are kept: the whole ledger is to be folded."""
    await _movements.forget_movements.execute(conn)


async def list_differences(conn: Connection) -> Sequence[asyncpg.Record]:
    """Return where the movements that are shown differ from those of the whole ledger."""
    return await conn.fetch(_movements.list_differences.sql, timeout=WHOLE_LEDGER_SECONDS)


async def list_totals(conn: Connection) -> Sequence[asyncpg.Record]:
    """Return the currencies whose movements do not add up to the revenue."""
    return await _movements.list_totals.fetch(conn)


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


async def list_cash_days(
    conn: Connection, begins_on: date, ends_on: date, *, livemode: bool
) -> Sequence[asyncpg.Record]:
    """Return what came and went by month, currency and kind."""
    return await _cash.list_cash_days.fetch(
        conn, livemode=livemode, begins_on=begins_on, ends_on=ends_on
    )


async def try_lock_cash(conn: Connection) -> bool:
    """Take the right to fold days until the transaction ends; False if another has it."""
    return bool(await _cash.try_lock_cash.fetch_value(conn))


async def fold_cash(
    conn: Connection, first_day: date, last_day: date, most: int
) -> tuple[int, bool]:
    """Compute some of these days again; return how many, and whether there may be more."""
    row = await _cash.fold_cash.fetch_one(conn, first_day=first_day, last_day=last_day, most=most)
    assert row is not None  # noqa: S101 - a query without FROM returns a row
    return row["folded"], row["has_more"]


async def list_trials(
    conn: Connection, begins_at: datetime, ends_at: datetime, *, livemode: bool
) -> Sequence[asyncpg.Record]:
    """Return trials by the month in which they ended, and how many were paid for afterwards."""
    return await _figures.list_trials.fetch(
        conn, livemode=livemode, begins_at=begins_at, ends_at=ends_at
    )


async def list_products(conn: Connection, *, livemode: bool) -> Sequence[asyncpg.Record]:
    """Return the revenue by product, as `billing_mrr_by_product` has it."""
    return await _figures.list_products.fetch(conn, livemode=livemode)


async def list_coupons(conn: Connection, *, livemode: bool) -> Sequence[asyncpg.Record]:
    """Return what coupons take off the revenue, as `billing_mrr_by_coupon` has it."""
    return await _figures.list_coupons.fetch(conn, livemode=livemode)


async def list_rates(conn: Connection) -> Sequence[asyncpg.Record]:
    """Return all rates, by currencies and day."""
    return await _rates.list_rates.fetch(conn)


async def set_rate(
    conn: Connection, pair: tuple[str, str, date], rate: Decimal, set_by: str
) -> Decimal | None:
    """Set a rate from one currency to another from a day on; return what it replaces."""
    from_currency, to_currency, begins_on = pair
    former: Decimal | None = await _rates.set_rate.fetch_value(
        conn,
        from_currency=from_currency,
        to_currency=to_currency,
        begins_on=begins_on,
        rate=rate,
        set_by=set_by,
    )
    return former


async def remove_rate(conn: Connection, pair: tuple[str, str, date]) -> Decimal | None:
    """Remove a rate, and return it; None if there was none."""
    from_currency, to_currency, begins_on = pair
    rate: Decimal | None = await _rates.remove_rate.fetch_value(
        conn, from_currency=from_currency, to_currency=to_currency, begins_on=begins_on
    )
    return rate
