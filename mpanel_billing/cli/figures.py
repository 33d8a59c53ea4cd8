"""`mpanel-billing figures`: what the business earns, as CSV."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any

import typer

from mpanel_billing.cli import rates
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.months import in_periods, month, span_of, this_month
from mpanel_billing.cli.output import json_text
from mpanel_billing.database.pool import Pool
from mpanel_billing.money import STRIPE_CURRENCIES
from mpanel_billing.revenue import exchange, figures, folding, parts, tables
from mpanel_billing.revenue.figures import Row, Span
from mpanel_billing.revenue.in_one import CASH, COHORTS, FAILED, TRIALS, Sums
from mpanel_billing.revenue.movements import Movements
from mpanel_billing.revenue.parts import COUPONS, PRODUCTS, Parts
from mpanel_billing.revenue.periods import Period, shift
from mpanel_billing.revenue.tables import Table
from mpanel_billing.settings import load_settings

app = typer.Typer(
    help="Figures: revenue, how it changes and what brings it, cohorts, cash, as CSV.",
    no_args_is_help=True,
)

app.add_typer(rates.app, name="rate")

First = Annotated[
    str | None,
    typer.Option("--from", metavar="MONTH", help="Default: eleven months ago.", callback=month),
]
Last = Annotated[
    str | None,
    typer.Option("--to", metavar="MONTH", help="Default: this month.", callback=month),
]
By = Annotated[Period, typer.Option("--by", help="By which period.")]


def _currency(text: str | None) -> str | None:
    if text is not None and text.lower() not in STRIPE_CURRENCIES:
        raise typer.BadParameter("must be a currency: USD")
    return None if text is None else text.lower()


In = Annotated[
    str | None,
    typer.Option(
        "--in",
        metavar="CURRENCY",
        help="All currencies as one, at `figures rate`.",
        callback=_currency,
    ),
]

AsJson = Annotated[
    bool, typer.Option("--json", help="Print JSON, amounts in minor units, instead of CSV.")
]

Read = Callable[..., Awaitable[Sequence[Row]]]


@app.callback()
def all_figures() -> None:
    """Figures: revenue, how it changes and what brings it, cohorts, cash (docs/figures.md)."""


@app.command()
def movements(*, first: First = None, last: Last = None, by: By = "month", into: In = None) -> None:
    """Print how the monthly recurring revenue changed, of the periods that begin in these months.

    Opening plus movements equals closing. Amounts are in the currency's units. All currencies as
    one have a further movement, `exchange`: what rates have changed.
    """
    livemode = load_settings().livemode
    span = in_periods(_months(first, last), by)

    async def run(pool: Pool) -> Sequence[Movements]:
        moved = await figures.read_movements(pool, span, by, livemode=livemode)
        return await exchange.movements_into(pool, moved, by, into) if into else moved

    rows = [tables.row_of(each) for each in with_pool(run)]
    _print(rows, tables.movements_table(in_one=into is not None))


@app.command()
def cohorts(*, first: First = None, last: Last = None, into: In = None) -> None:
    """Print what became of those who began to pay in these months, by month since then."""
    _read(figures.read_cohorts, _months(first, last), tables.COHORTS, COHORTS, into)


@app.command()
def cash(*, first: First = None, last: Last = None, into: In = None) -> None:
    """Print what was collected, refunded and disputed, and the taxes, by month and currency."""
    _read(figures.read_cash, _months(first, last), tables.CASH, CASH, into)


@app.command()
def failed(*, first: First = None, last: Last = None, into: In = None) -> None:
    """Print payments by the month in which they first failed, and what of them came back."""
    _read(figures.read_failed_payments, _months(first, last), tables.FAILED, FAILED, into)


@app.command()
def trials(*, first: First = None, last: Last = None) -> None:
    """Print the trials that ended by month, and how many were paid for afterwards."""
    _read(figures.read_trials, _months(first, last), tables.TRIALS, TRIALS)


@app.command()
def products(*, into: In = None, as_json: AsJson = False) -> None:
    """Print what each plan and add-on adds to the monthly recurring revenue now.

    Of one currency they add up to it. `taken_off` is what coupons take off.
    """
    _read_parts(parts.read_products, PRODUCTS, tables.PRODUCTS, into, as_json=as_json)


@app.command()
def coupons(*, into: In = None, as_json: AsJson = False) -> None:
    """Print what each coupon takes off the monthly recurring revenue now, and until when.

    `mrr` is what those who have it pay nevertheless; no `ends_at`: one of them has it forever.
    """
    _read_parts(parts.read_coupons, COUPONS, tables.COUPONS, into, as_json=as_json)


@app.command()
def check() -> None:
    """Compare the movements that are kept with the whole ledger; exit with 1 if they differ.

    It reads all of it: two seconds for 100,000 subscriptions.
    """
    differing = with_pool(folding.find_differences)
    _print(differing, _DIFFERENCES)
    if differing:
        typer.echo("these differ from the ledger: run `mpanel-billing figures rebuild`", err=True)
        raise typer.Exit(1)


@app.command()
def rebuild() -> None:
    """Compute all that is kept of the ledger again; figures stay as they are until it is done."""
    typer.echo(f"customers: {with_pool(folding.rebuild_movements)}")


_DIFFERENCES = Table(
    (
        *("livemode", "currency", "of", "begins_on", "what"),
        *("customers", "true_customers", "amount", "true_amount"),
    ),
    ("amount", "true_amount"),
)


def _months(first: str | None, last: str | None) -> Span:
    now = this_month()
    return span_of(first, last, (shift(now, "month", -11), now))


def _read(read: Read, span: Span, table: Table, sums: Sums, into: str | None = None) -> None:
    livemode = load_settings().livemode

    async def run(pool: Pool) -> Sequence[Row]:
        rows = await read(pool, span, livemode=livemode)
        return await exchange.rows_into(pool, rows, sums, into) if into else rows

    _print(with_pool(run), table)


def _read_parts(read: Read, of: Parts, table: Table, into: str | None, *, as_json: bool) -> None:
    livemode = load_settings().livemode

    async def run(pool: Pool) -> Sequence[Row]:
        rows = await read(pool, livemode=livemode)
        return await exchange.parts_into(pool, rows, of, into) if into else rows

    rows = with_pool(run)
    if as_json:
        typer.echo(json_text([{name: row[name] for name in table.columns} for row in rows]))
    else:
        _print(rows, table)


def _print(rows: Sequence[Mapping[str, Any]], table: Table) -> None:
    for text in table.lines(rows):
        typer.echo(text)
