"""Figures of several currencies as one: of what is shown of each, at the rates of their days.

So everybody can check them: each amount is the sum of whole amounts, times a rate, rounded once.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

from mpanel_billing.revenue import figures
from mpanel_billing.revenue.movements import KINDS, Movements, apportion, rounded
from mpanel_billing.revenue.periods import Period
from mpanel_billing.revenue.rates import Rates

EXCHANGE = "exchange"
"""The movement that rates make: no customer did."""


def movements_in_one(
    moved: Iterable[Movements], period: Period, rates: Rates
) -> Iterator[Movements]:
    """Yield each period of all currencies as one, with what the rates have changed.

    A customer who pays in two currencies counts twice. See `Rates.missing`.
    """
    ordered = sorted(moved, key=lambda one: one.starts_on)
    for starts_on, together in groupby(ordered, key=lambda one: one.starts_on):
        yield _together(starts_on, list(together), period, rates)


def _together(
    starts_on: date, each: Sequence[Movements], period: Period, rates: Rates
) -> Movements:
    before = min(starts_on - timedelta(days=1), rates.today)
    day = rates.last_day(starts_on, period)

    def added(amounts: Iterable[int], on: date) -> Decimal:
        pairs = zip(each, amounts, strict=True)
        return sum((rates.convert(amount, one.currency, on) for one, amount in pairs), Decimal(0))

    opening = added((one.opening for one in each), before)
    closing = added((one.closing for one in each), day)
    parts = {kind: added((one.amounts[kind] for one in each), day) for kind in KINDS}
    parts[EXCHANGE] = closing - opening - sum(parts.values(), Decimal(0))
    return Movements(
        currency=rates.into,
        starts_on=starts_on,
        opening=rounded(opening),
        amounts=apportion(parts, rounded(closing) - rounded(opening)),
        closing=rounded(closing),
        customers={kind: sum(one.customers[kind] for one in each) for kind in KINDS},
        customers_at_opening=sum(one.customers_at_opening for one in each),
        customers_at_closing=sum(one.customers_at_closing for one in each),
    )


@dataclass(frozen=True, slots=True)
class Sums:
    """How rows are added up: those with the same values in the columns `by`.

    `money` are the columns with amounts, each with the column of the month whose last day decides
    about the rate; other numbers are just added up.
    """

    by: Sequence[str]
    money: Mapping[str, str]


COHORTS = Sums(("cohort", "month"), {"began_with": "cohort", "amount": "month"})
CASH = Sums(("month",), dict.fromkeys(figures.CASH, "month"))
FAILED = Sums(("month",), dict.fromkeys(("amount", "amount_recovered"), "month"))
TRIALS = Sums(("month",), {})


def rows_in_one(
    rows: Iterable[Mapping[str, Any]], sums: Sums, rates: Rates
) -> Sequence[Mapping[str, Any]]:
    """Return rows of several currencies as rows of one. See `Rates.missing`."""
    added: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        whole = added.setdefault(
            tuple(row[name] for name in sums.by),
            {**row, "currency": rates.into, **dict.fromkeys(_numbers(row), Decimal(0))},
        )
        for name in _numbers(row):
            value = Decimal(row[name])
            if month := sums.money.get(name):
                value = rates.convert(value, row["currency"], rates.last_day(row[month], "month"))
            whole[name] += value
    return [
        {
            name: rounded(value) if isinstance(value, Decimal) else value
            for name, value in row.items()
        }
        for _, row in sorted(added.items())
    ]


def _numbers(row: Mapping[str, Any]) -> Sequence[str]:
    return [name for name, value in row.items() if isinstance(value, int | Decimal)]
