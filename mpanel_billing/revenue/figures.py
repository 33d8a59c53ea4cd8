"""What the business earns, and how that changes (docs/figures.md)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from operator import itemgetter
from typing import Any

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.revenue import repository
from mpanel_billing.revenue.movements import Movements, movements_of
from mpanel_billing.revenue.periods import Period, midnight

Row = Mapping[str, Any]

CASH = ("collected", "refunded", "disputed", "tax")
"""The kinds of what came and went."""


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
    return (await read_payments(pool, span, livemode=livemode))[0]


async def read_failed_payments(pool: Pool, span: Span, *, livemode: bool) -> Sequence[Row]:
    """Return payments that failed by month and currency, and what of them came back."""
    return (await read_payments(pool, span, livemode=livemode))[1]


async def read_payments(
    pool: Pool, span: Span, *, livemode: bool
) -> tuple[Sequence[Row], Sequence[Row]]:
    """Return the rows of `read_cash`, and those of `read_failed_payments`."""
    async with acquired(pool) as conn:
        rows = await repository.list_cash_days(
            conn, span.begins_on, span.ends_on, livemode=livemode
        )
    cash: list[Row] = []
    failed: list[Row] = []
    for (month, currency), together in groupby(rows, key=itemgetter("month", "currency")):
        of: dict[str, Row] = {row["kind"]: dict(row) for row in together}
        about: Row = {"month": month, "currency": currency}
        if of.keys() & set(CASH):
            amounts = {kind: of[kind]["amount"] if kind in of else 0 for kind in CASH}
            cash.append({**about, **amounts})
        if "failed" in of:
            failed.append({**about, **_failed(of["failed"], of.get("recovered"))})
    return cash, failed


def _failed(failed: Row, recovered: Row | None) -> Row:
    return {
        "payments": failed["number"],
        "amount": failed["amount"],
        "recovered": recovered["number"] if recovered else 0,
        "amount_recovered": recovered["amount"] if recovered else 0,
    }


async def read_trials(pool: Pool, span: Span, *, livemode: bool) -> Sequence[Row]:
    """Return the trials that ended by month, and how many were paid for afterwards."""
    begins_at, ends_at = midnight(span.begins_on), midnight(span.ends_on)
    async with acquired(pool) as conn:
        rows = await repository.list_trials(conn, begins_at, ends_at, livemode=livemode)
    return [dict(row) for row in rows]
