"""`mpanel-billing tax`: what taxes are to be declared, and who pays them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.months import month, span_of, this_month
from mpanel_billing.cli.tax_enable import enable, withdraw
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.revenue import repository
from mpanel_billing.revenue.csv_lines import as_csv
from mpanel_billing.revenue.periods import midnight, shift
from mpanel_billing.settings import load_settings

app = typer.Typer(
    help="Taxes: what is to be declared, and of which subscriptions.", no_args_is_help=True
)
app.command()(enable)
app.command()(withdraw)

First = Annotated[
    str | None,
    typer.Option("--from", metavar="MONTH", help="Default: the last month.", callback=month),
]
Last = Annotated[
    str | None,
    typer.Option("--to", metavar="MONTH", help="Default: the first one.", callback=month),
]
Lines = Annotated[bool, typer.Option("--lines", help="A line for each document and rate.")]


@app.command()
def report(*, first: First = None, last: Last = None, lines: Lines = False) -> None:
    """Print the taxes of months as CSV, as the view `billing_tax` has them (docs/taxes.md).

    Refunds, credit notes and what was voided are negative. Amounts are in the currency's units.
    """
    livemode = load_settings().livemode
    last_month = shift(this_month(), "month", -1)
    span = span_of(first, last or first, (last_month, last_month))
    begins_at, ends_at = midnight(span.begins_on), midnight(span.ends_on)
    read = repository.list_tax_lines if lines else repository.sum_taxes

    async def run(pool: Pool) -> Sequence[Mapping[str, Any]]:
        async with acquired(pool) as conn:
            return [dict(row) for row in await read(conn, begins_at, ends_at, livemode=livemode)]

    for text in as_csv(with_pool(run), _LINE_COLUMNS if lines else _SUM_COLUMNS, ("net", "tax")):
        typer.echo(text)


_SUM_COLUMNS = (
    *("period", "country", "jurisdiction", "tax_name", "rate", "reason"),
    *("net", "tax", "currency", "documents"),
)
_LINE_COLUMNS = (
    *("at", "kind", "document_id", "invoice", "customer", "country", "jurisdiction", "tax_name"),
    *("rate", "inclusive", "reason", "net", "tax", "currency"),
)
