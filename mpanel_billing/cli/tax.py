"""`mpanel-billing tax`: what taxes are to be declared, and who pays them."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.tax_enable import enable, withdraw
from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.money import to_decimal
from mpanel_billing.revenue import repository
from mpanel_billing.settings import load_settings

app = typer.Typer(
    help="Taxes: what is to be declared, and of which subscriptions.", no_args_is_help=True
)
app.command()(enable)
app.command()(withdraw)

_MONTH = re.compile(r"(20\d\d)-(0[1-9]|1[0-2])")
_MONTHS = 12
_STEERING = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula at the beginning of a text."""


def _month(text: str | None) -> str | None:
    if text is not None and not _MONTH.fullmatch(text):
        raise typer.BadParameter("must be a month: 2026-10")
    return text


First = Annotated[
    str | None,
    typer.Option("--from", metavar="MONTH", help="Default: the last month.", callback=_month),
]
Last = Annotated[
    str | None,
    typer.Option("--to", metavar="MONTH", help="Default: the first one.", callback=_month),
]
Lines = Annotated[bool, typer.Option("--lines", help="A line for each document and rate.")]


@app.command()
def report(*, first: First = None, last: Last = None, lines: Lines = False) -> None:
    """Print the taxes of months as CSV, as the view `billing_tax` has them (docs/taxes.md).

    Refunds, credit notes and what was voided are negative. Amounts are in the currency's units.
    """
    livemode = load_settings().livemode
    first = first or f"{_before(datetime.now(UTC)):%Y-%m}"
    begins_at, ends_at = _begin_of(first), _after(_begin_of(last or first))
    if ends_at <= begins_at:
        raise typer.BadParameter("must not be before --from", param_hint="--to")
    read = repository.list_tax_lines if lines else repository.sum_taxes

    async def run(pool: Pool) -> Sequence[Mapping[str, Any]]:
        async with acquired(pool) as conn:
            return [dict(row) for row in await read(conn, begins_at, ends_at, livemode=livemode)]

    for text in as_csv(with_pool(run), _LINE_COLUMNS if lines else _SUM_COLUMNS):
        typer.echo(text)


_SUM_COLUMNS = (
    *("period", "country", "jurisdiction", "tax_name", "rate", "reason"),
    *("net", "tax", "currency", "documents"),
)
_LINE_COLUMNS = (
    *("at", "kind", "document_id", "invoice", "customer", "country", "jurisdiction", "tax_name"),
    *("rate", "inclusive", "reason", "net", "tax", "currency"),
)


def as_csv(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[str]:
    """Return the lines of a CSV, the first with the names of the columns."""
    yield _line(columns)
    for row in rows:
        amounts = {name: to_decimal(row[name], row["currency"]) for name in ("net", "tax")}
        values = {**row, **amounts}
        yield _line([_cell(values[name]) for name in columns])


def _line(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="").writerow(cells)
    return written.getvalue()


def _cell(value: object) -> str:
    """Write a value; a text cannot become a formula."""
    if isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, str) and value.startswith(_STEERING):
        return f"'{value}"
    return "" if value is None else str(value)


def _begin_of(month: str) -> datetime:
    year, number = month.split("-")
    return datetime(int(year), int(number), 1, tzinfo=UTC)


def _before(moment: datetime) -> datetime:
    """Return the month before."""
    month = moment.year * _MONTHS + moment.month - 2
    return datetime(month // _MONTHS, month % _MONTHS + 1, 1, tzinfo=UTC)


def _after(month: datetime) -> datetime:
    """Return the month after."""
    number = month.year * _MONTHS + month.month
    return datetime(number // _MONTHS, number % _MONTHS + 1, 1, tzinfo=UTC)
