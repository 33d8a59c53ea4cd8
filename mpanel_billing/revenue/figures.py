"""What the business earns, and how that changes (docs/figures.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.revenue import repository
from mpanel_billing.revenue.movements import Movements, movements_of
from mpanel_billing.revenue.periods import Period, midnight

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Span:
    """Whole periods: from the first day of one, to before the first day of another."""

    begins_on: date
    ends_on: date


async def read_movements(
    pool: Pool, span: Span, period: Period, *, livemode: bool
) -> Sequence[Movements]:
    """Return the movements of the monthly recurring revenue, by currency and period."""
    async with acquired(pool) as conn:
        rows = await repository.list_movements(
            conn, period, span.begins_on, span.ends_on, livemode=livemode
        )
    return list(movements_of([dict(row) for row in rows], span.begins_on, span.ends_on, period))


async def read_cohorts(pool: Pool, span: Span, *, livemode: bool) -> Sequence[Row]:
    """Return what became of those who began to pay in these months."""
    async with acquired(pool) as conn:
        rows = await repository.list_cohorts(conn, span.begins_on, span.ends_on, livemode=livemode)
    return [dict(row) for row in rows]


async def read_cash(pool: Pool, span: Span, *, livemode: bool) -> Sequence[Row]:
    """Return what was collected, refunded, disputed and taxed by month and currency."""
    begins_at, ends_at = midnight(span.begins_on), midnight(span.ends_on)
    async with acquired(pool) as conn:
        rows = await repository.list_cash(conn, begins_at, ends_at, livemode=livemode)
    return [dict(row) for row in rows]


async def read_failed_payments(pool: Pool, span: Span, *, livemode: bool) -> Sequence[Row]:
    """Return payments that failed by month and currency, and what of them came back."""
    begins_at, ends_at = midnight(span.begins_on), midnight(span.ends_on)
    async with acquired(pool) as conn:
        rows = await repository.list_failed_payments(conn, begins_at, ends_at, livemode=livemode)
    return [dict(row) for row in rows]


async def read_trials(pool: Pool, span: Span, *, livemode: bool) -> Sequence[Row]:
    """Return the trials that ended by month, and how many were paid for afterwards."""
    begins_at, ends_at = midnight(span.begins_on), midnight(span.ends_on)
    async with acquired(pool) as conn:
        rows = await repository.list_trials(conn, begins_at, ends_at, livemode=livemode)
    return [dict(row) for row in rows]
