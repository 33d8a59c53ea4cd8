"""How the monthly recurring revenue came from one period to the next, in whole minor units.

Amounts are exact in the database, where a price of a year has no end of decimals. Shown are whole
units that still add up: opening and closing are rounded, and what lies between them is divided so
that it fits. A movement may differ from its exact value by one unit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_FLOOR, ROUND_HALF_UP, Decimal
from itertools import groupby
from typing import Any

from mpanel_billing.revenue.periods import Period, periods_of

KINDS = ("new", "expansion", "reactivation", "contraction", "churn")
"""The kinds of movements; docs/figures.md says what they are."""
_ADDS = {"new": 1, "reactivation": 1, "churn": -1}


@dataclass(frozen=True, slots=True)
class Movements:
    """A period of one currency: minor units a month, and customers, by kind."""

    currency: str
    starts_on: date
    opening: int
    amounts: Mapping[str, int]
    closing: int
    customers: Mapping[str, int]
    customers_at_opening: int
    customers_at_closing: int

    @property
    def arpu(self) -> int | None:
        """What a customer pays on average, a month; None without customers."""
        if not self.customers_at_closing:
            return None
        return rounded(Decimal(self.closing) / self.customers_at_closing)

    @property
    def churn_of_customers(self) -> Decimal | None:
        """Percent of the customers at the opening that left; None without any."""
        return _percent(self.customers["churn"], self.customers_at_opening)

    @property
    def churn_of_revenue(self) -> Decimal | None:
        """Percent of the opening that was lost to churn and contraction; None if it was 0."""
        return _percent(-self.amounts["churn"] - self.amounts["contraction"], self.opening)


def movements_of(
    rows: Sequence[Mapping[str, Any]], begins_on: date, ends_on: date, period: Period
) -> Iterator[Movements]:
    """Yield each period of each currency; `rows` are those of `list_movements`."""
    for currency, of_currency in groupby(rows, key=lambda row: row["currency"]):
        yield from _of_currency(currency, list(of_currency), begins_on, ends_on, period)


def _of_currency(
    currency: str, rows: Sequence[Mapping[str, Any]], begins_on: date, ends_on: date, period: Period
) -> Iterator[Movements]:
    moved: dict[date | None, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        moved.setdefault(row["starts_on"], {})[row["kind"]] = row
    exact = sum((row["amount"] for row in moved.get(None, {}).values()), Decimal(0))
    customers = _added({kind: row["customers"] for kind, row in moved.get(None, {}).items()})
    for starts_on in periods_of(begins_on, ends_on, period):
        of_period = moved.get(starts_on, {})
        parts = {kind: _of(of_period, kind, "amount") for kind in KINDS}
        counts = {kind: int(_of(of_period, kind, "customers")) for kind in KINDS}
        opening, exact = rounded(exact), exact + sum(parts.values(), Decimal(0))
        at_opening, customers = customers, customers + _added(counts)
        amounts = apportion(parts, rounded(exact) - opening)
        yield Movements(
            *(currency, starts_on, opening, amounts, rounded(exact)),
            *(counts, at_opening, customers),
        )


def _of(of_period: Mapping[str, Mapping[str, Any]], kind: str, name: str) -> Decimal:
    return Decimal(of_period[kind][name]) if kind in of_period else Decimal(0)


def _added(counts: Mapping[str, int]) -> int:
    return sum(_ADDS.get(kind, 0) * count for kind, count in counts.items())


def apportion(parts: Mapping[str, Decimal], total: int) -> Mapping[str, int]:
    """Return whole numbers whose sum is the total, each less than one off its part.

    The total is the difference of two rounded amounts that are the sum of the parts apart.
    """
    whole = {name: int(part.to_integral_value(ROUND_FLOOR)) for name, part in parts.items()}
    by_rest = sorted(parts, key=lambda name: parts[name] - whole[name], reverse=True)
    for name in by_rest[: total - sum(whole.values())]:
        whole[name] += 1
    return whole


def rounded(amount: Decimal) -> int:
    """Return whole minor units, half up."""
    return int(amount.to_integral_value(ROUND_HALF_UP))


def _percent(part: int, whole: int) -> Decimal | None:
    return round(Decimal(part) * 100 / whole, 1) if whole > 0 else None
