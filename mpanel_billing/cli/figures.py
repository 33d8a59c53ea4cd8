"""`mpanel-billing figures`: what the business earns, as CSV."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from mpanel_billing.cli.csv_lines import as_csv
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.months import in_periods, month, span_of, this_month
from mpanel_billing.database.pool import Pool
from mpanel_billing.revenue import figures
from mpanel_billing.revenue.figures import Row, Span
from mpanel_billing.revenue.movements import KINDS, Movements
from mpanel_billing.revenue.periods import Period, shift
from mpanel_billing.settings import load_settings

app = typer.Typer(
    help="Figures: revenue and how it changes, cohorts, cash, as CSV.", no_args_is_help=True
)

First = Annotated[
    str | None,
    typer.Option("--from", metavar="MONTH", help="Default: eleven months ago.", callback=month),
]
Last = Annotated[
    str | None,
    typer.Option("--to", metavar="MONTH", help="Default: this month.", callback=month),
]
By = Annotated[Period, typer.Option("--by", help="By which period.")]

Read = Callable[..., Awaitable[Sequence[Row]]]


@app.callback()
def all_figures() -> None:
    """Figures: revenue and how it changes, cohorts, cash, as CSV (docs/figures.md)."""


@app.command()
def movements(*, first: First = None, last: Last = None, by: By = "month") -> None:
    """Print how the monthly recurring revenue changed, of the periods that begin in these months.

    Opening and movements are the closing. Amounts are in the currency's units.
    """
    livemode = load_settings().livemode
    span = in_periods(_months(first, last), by)

    async def run(pool: Pool) -> Sequence[Movements]:
        return await figures.read_movements(pool, span, by, livemode=livemode)

    rows = [_as_row(each) for each in with_pool(run)]
    _print(rows, _MOVEMENTS, ("opening", *KINDS, "closing", "arpu"))


@app.command()
def cohorts(*, first: First = None, last: Last = None) -> None:
    """Print what became of those who began to pay in these months, by month since then."""
    _read(
        figures.read_cohorts,
        _months(first, last),
        ("cohort", "month", "currency", "began", "customers", "began_with", "amount"),
        ("began_with", "amount"),
    )


@app.command()
def cash(*, first: First = None, last: Last = None) -> None:
    """Print what was collected, refunded and disputed, and the taxes, by month and currency."""
    money = ("collected", "refunded", "disputed", "tax")
    _read(figures.read_cash, _months(first, last), ("month", "currency", *money), money)


@app.command()
def failed(*, first: First = None, last: Last = None) -> None:
    """Print payments by the month in which they first failed, and what of them came back."""
    columns = ("month", "currency", "payments", "amount", "recovered", "amount_recovered")
    _read(
        figures.read_failed_payments,
        _months(first, last),
        columns,
        ("amount", "amount_recovered"),
    )


@app.command()
def trials(*, first: First = None, last: Last = None) -> None:
    """Print the trials that ended by month, and how many were paid for afterwards."""
    _read(figures.read_trials, _months(first, last), ("month", "trials", "converted"), ())


_MOVEMENTS = (
    *("period", "currency", "opening", *KINDS, "closing", "customers", "arpu"),
    *("churn_of_customers", "churn_of_revenue"),
)


def _as_row(moved: Movements) -> Mapping[str, Any]:
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


def _months(first: str | None, last: str | None) -> Span:
    now = this_month()
    return span_of(first, last, (shift(now, "month", -11), now))


def _read(read: Read, span: Span, columns: Sequence[str], money: Sequence[str]) -> None:
    livemode = load_settings().livemode

    async def run(pool: Pool) -> Sequence[Row]:
        return await read(pool, span, livemode=livemode)

    _print(with_pool(run), columns, money)


def _print(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], money: Sequence[str]) -> None:
    for text in as_csv(rows, columns, money):
        typer.echo(text)
