"""Figures: what the business earns, and how that changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from mpanel_billing.console.charts import Chart, Part, stacked
from mpanel_billing.console.pages import Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.database.pool import Pool
from mpanel_billing.http import keys
from mpanel_billing.numbers import write_money
from mpanel_billing.revenue import exchange, figures
from mpanel_billing.revenue.figures import Row, Span
from mpanel_billing.revenue.in_one import (
    CASH,
    COHORTS,
    EXCHANGE,
    FAILED,
    movements_in_one,
    rows_in_one,
)
from mpanel_billing.revenue.movements import KINDS, Movements
from mpanel_billing.revenue.periods import Period, begin_of, shift
from mpanel_billing.revenue.rates import Rates

pages = Pages()

SHOWN: Mapping[Period, int] = {"month": 12, "week": 13, "day": 31}
"""How many periods of each kind the page has."""
_NAMES: Mapping[Period, str] = {
    "month": "figures.by_month",
    "week": "figures.by_week",
    "day": "figures.by_day",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """Figures of one currency, or of all as one; `missing` are the rates that would be needed."""

    movements: Sequence[Movements]
    cohorts: Sequence[Row]
    cash: Sequence[Row]
    failed: Sequence[Row]
    missing: Mapping[str, date] = field(default_factory=dict)

    @property
    def currencies(self) -> Sequence[str]:
        of_cash = {row["currency"] for row in self.cash}
        return sorted({one.currency for one in self.movements} | of_cash)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for: the figures of a currency, or of all of them in one, `into`."""

    period: Period
    currency: str | None
    into: str | None
    currencies: Sequence[str]
    targets: Sequence[str]
    shown: Shown
    trials: Sequence[Row]

    @property
    def kinds(self) -> Sequence[str]:
        """The kinds of movements."""
        return (*KINDS, EXCHANGE) if self.into else KINDS


@pages.page("/console/figures", scope="billing:read")
async def show_figures(visit: Visit, given: Given) -> Page:
    """Show the revenue and how it changed, who stayed, what was collected, in one currency."""
    asked = await read_asked(visit, given)
    shown = asked.shown
    values = {
        "currency": asked.currency,
        "currencies": asked.currencies,
        "into": asked.into,
        "targets": asked.targets,
        "missing": shown.missing,
        "period": asked.period,
        "periods": _NAMES,
        "kinds": asked.kinds,
        "movements": shown.movements,
        "chart": _revenue_chart(visit, shown.movements),
        "movement_chart": _movement_chart(visit, shown.movements),
        "cohorts": _retention(shown.cohorts),
        "cohort_months": range(SHOWN["month"]),
        "cash": shown.cash,
        "failed": shown.failed,
        "trials": asked.trials,
    }
    return Page("figures.html", values)


async def read_asked(visit: Visit, given: Given) -> Asked:
    """Return the figures of the currency and the periods that the address names."""
    pool, livemode = visit.app[keys.POOL], visit.app[keys.SETTINGS].livemode
    period: Period = next((one for one in SHOWN if one == given.text("by")), "month")
    today = datetime.now(UTC).date()
    months = _until(today, "month")
    every = await _read(pool, _until(today, period), months, period, livemode=livemode)
    rates = await exchange.list_rates(pool)
    targets = sorted({row["to_currency"] for row in rates})
    into = next((one for one in targets if one == given.text("in")), None)
    currency = into or _currency_of(every, given.text("currency"))
    shown = (
        _in_one(every, period, exchange.rates_into(into, rates)) if into else _of(every, currency)
    )
    trials = await figures.read_trials(pool, months, livemode=livemode)
    return Asked(period, currency, into, every.currencies, targets, shown, trials)


async def _read(pool: Pool, span: Span, months: Span, period: Period, *, livemode: bool) -> Shown:
    """Read the figures of all currencies."""
    return Shown(
        await figures.read_movements(pool, span, period, livemode=livemode),
        await figures.read_cohorts(pool, months, livemode=livemode),
        *await figures.read_payments(pool, months, livemode=livemode),
    )


def _currency_of(every: Shown, asked: str) -> str | None:
    """Return the currency that is asked for, or else the one in which most customers pay now."""
    if asked in every.currencies:
        return asked
    paying = {one.currency: one.customers_at_closing for one in every.movements}
    return max(every.currencies, key=lambda one: paying.get(one, 0), default=None)


def _of(every: Shown, currency: str | None) -> Shown:
    """Return what is of one currency."""

    def of(rows: Sequence[Row]) -> Sequence[Row]:
        return [row for row in rows if row["currency"] == currency]

    moved = [one for one in every.movements if one.currency == currency]
    return Shown(moved, of(every.cohorts), of(every.cash), of(every.failed))


def _in_one(every: Shown, period: Period, rates: Rates) -> Shown:
    """Return all currencies as one; nothing if a rate is missing."""
    shown = Shown(
        list(movements_in_one(every.movements, period, rates)),
        rows_in_one(every.cohorts, COHORTS, rates),
        rows_in_one(every.cash, CASH, rates),
        rows_in_one(every.failed, FAILED, rates),
        rates.missing,
    )
    return Shown([], [], [], [], rates.missing) if rates.missing else shown


def _until(today: date, period: Period) -> Span:
    """Return the latest periods of a kind, with the present one."""
    now = begin_of(today, period)
    return Span(shift(now, period, 1 - SHOWN[period]), shift(now, period, 1))


def _revenue_chart(visit: Visit, shown: Sequence[Movements]) -> Chart:
    """Return the closing of each period."""
    return stacked(
        {
            one.starts_on.isoformat(): [
                _part(visit, "closing", one.closing, one.currency, one.starts_on)
            ]
            for one in shown
        }
    )


def _movement_chart(visit: Visit, shown: Sequence[Movements]) -> Chart:
    """Return what was won and what was lost in each period."""
    return stacked(
        {
            one.starts_on.isoformat(): [
                _part(visit, kind, amount, one.currency, one.starts_on)
                for kind, amount in one.amounts.items()
            ]
            for one in shown
        }
    )


def _part(visit: Visit, kind: str, amount: int, currency: str, day: date) -> Part:
    shown = write_money(amount, currency, visit.words.language)
    label = f"{day}: {visit.words(f'figures.{kind}')} {shown}"
    return Part(kind, amount, label)


def _retention(rows: Sequence[Row]) -> Sequence[Mapping[str, Any]]:
    """Return a line for each month in which somebody began: how many percent of them still pay."""
    lines: dict[date, dict[str, Any]] = {}
    for row in rows:
        line = lines.setdefault(
            row["cohort"],
            {
                "cohort": row["cohort"],
                "began": row["began"],
                "began_with": row["began_with"],
                "shares": [],
            },
        )
        share = Decimal(row["customers"]) * 100 / row["began"] if row["began"] else None
        line["shares"].append(None if share is None else round(share))
        line["amount"] = row["amount"]
    return list(lines.values())
