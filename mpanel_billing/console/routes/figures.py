"""Figures: what the business earns, and how that changes."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from mpanel_billing.console.charts import Chart, Part, stacked
from mpanel_billing.console.pages import Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.http import keys
from mpanel_billing.money import format_money
from mpanel_billing.revenue import figures
from mpanel_billing.revenue.figures import Row, Span
from mpanel_billing.revenue.movements import KINDS, Movements
from mpanel_billing.revenue.periods import Period, begin_of, shift

pages = Pages()

SHOWN: Mapping[Period, int] = {"month": 12, "week": 13, "day": 31}
"""How many periods of each kind the page has."""
_NAMES: Mapping[Period, str] = {
    "month": "figures.by_month",
    "week": "figures.by_week",
    "day": "figures.by_day",
}


@pages.page("/console/figures", scope="billing:read")
async def show_figures(visit: Visit, given: Given) -> Page:
    """Show the revenue and how it changed, who stayed, what was collected, in one currency."""
    pool, livemode = visit.app[keys.POOL], visit.app[keys.SETTINGS].livemode
    period: Period = next((one for one in SHOWN if one == given.text("by")), "month")
    today = datetime.now(UTC).date()
    moved = await figures.read_movements(pool, _until(today, period), period, livemode=livemode)
    months = _until(today, "month")
    cash = await figures.read_cash(pool, months, livemode=livemode)
    currencies = sorted({one.currency for one in moved} | {row["currency"] for row in cash})
    asked = given.text("currency")
    currency = asked if asked in currencies else next(iter(currencies), None)
    shown = [one for one in moved if one.currency == currency]
    cohorts = await figures.read_cohorts(pool, months, livemode=livemode)
    failed = await figures.read_failed_payments(pool, months, livemode=livemode)
    values = {
        "currency": currency,
        "currencies": currencies,
        "period": period,
        "periods": _NAMES,
        "kinds": KINDS,
        "movements": shown,
        "chart": _revenue_chart(visit, shown),
        "movement_chart": _movement_chart(visit, shown),
        "cohorts": _retention([row for row in cohorts if row["currency"] == currency]),
        "cohort_months": range(SHOWN["month"]),
        "cash": [row for row in cash if row["currency"] == currency],
        "failed": [row for row in failed if row["currency"] == currency],
        "trials": await figures.read_trials(pool, months, livemode=livemode),
    }
    return Page("figures.html", values)


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
                _part(visit, kind, one.amounts[kind], one.currency, one.starts_on) for kind in KINDS
            ]
            for one in shown
        }
    )


def _part(visit: Visit, kind: str, amount: int, currency: str, day: date) -> Part:
    label = f"{day}: {visit.words(f'figures.{kind}')} {format_money(amount, currency)}"
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
