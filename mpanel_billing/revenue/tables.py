"""The figures as tables, which the command line and the console write as the same CSV."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mpanel_billing.revenue.csv_lines import as_csv
from mpanel_billing.revenue.in_one import CASH as CASH_SUMS
from mpanel_billing.revenue.in_one import COHORTS as COHORT_SUMS
from mpanel_billing.revenue.in_one import EXCHANGE
from mpanel_billing.revenue.in_one import FAILED as FAILED_SUMS
from mpanel_billing.revenue.movements import KINDS, Movements
from mpanel_billing.revenue.parts import MONEY

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """Columns in their order; those of `money` are in minor units of the row's currency."""

    columns: Sequence[str]
    money: Sequence[str] = ()

    def lines(self, rows: Sequence[Row]) -> Iterator[str]:
        """Return the lines of a CSV, amounts in units."""
        return as_csv(rows, self.columns, self.money)


_PARTS = ("subscriptions", "customers")

COHORTS = Table(
    ("cohort", "month", "currency", "began", "customers", "began_with", "amount"),
    tuple(COHORT_SUMS.money),
)
CASH = Table(("month", "currency", *CASH_SUMS.money), tuple(CASH_SUMS.money))
FAILED = Table(
    ("month", "currency", "payments", "amount", "recovered", "amount_recovered"),
    tuple(FAILED_SUMS.money),
)
TRIALS = Table(("month", "trials", "converted"))
PRODUCTS = Table(("kind", "product", "name", "currency", *_PARTS, *MONEY), MONEY)
COUPONS = Table(("coupon", "name", "currency", *_PARTS, *MONEY[::-1], "ends_at"), MONEY)


def movements_table(*, in_one: bool) -> Table:
    """Return the table of movements; all currencies as one have a further one, `exchange`."""
    kinds = (*KINDS, EXCHANGE) if in_one else KINDS
    money = ("opening", *kinds, "closing", "arpu")
    counts = ("customers", "arpu", "churn_of_customers", "churn_of_revenue")
    return Table(("period", "currency", "opening", *kinds, "closing", *counts), money)


def row_of(moved: Movements) -> Row:
    """Return a period as a row of `movements_table`."""
    return {
        **moved.amounts,
        "period": moved.starts_on,
        "currency": moved.currency,
        "opening": moved.opening,
        "closing": moved.closing,
        "customers": moved.customers_at_closing,
        "arpu": moved.arpu,
        "churn_of_customers": moved.churn_of_customers,
        "churn_of_revenue": moved.churn_of_revenue,
    }
