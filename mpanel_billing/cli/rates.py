"""`mpanel-billing figures rate`: at which rates several currencies are shown as one."""

from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_pool
from mpanel_billing.database.pool import Pool
from mpanel_billing.revenue import exchange
from mpanel_billing.revenue.exchange import Pair

app = typer.Typer(
    help="Rates at which figures of several currencies are shown as one.", no_args_is_help=True
)


def _day(text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        msg = "must be a day: 2026-10-01"
        raise typer.BadParameter(msg) from None


def _number(text: str) -> str:
    try:
        finite = Decimal(text).is_finite()
    except InvalidOperation:
        finite = False
    if not finite:
        msg = "must be a number: 1.08"
        raise typer.BadParameter(msg)
    return text


From = Annotated[str, typer.Argument(metavar="FROM", help="A currency, such as EUR.")]
To = Annotated[str, typer.Argument(metavar="TO", help="The currency that it is shown in.")]
Amount = Annotated[
    str, typer.Argument(metavar="RATE", help="How much of TO a unit of FROM is.", callback=_number)
]
Since = Annotated[
    str,
    typer.Option(
        "--from", metavar="DAY", help="The first day, UTC. Default: today.", callback=_day,
        default_factory=lambda: datetime.now(UTC).date().isoformat(), show_default=False,
    ),
]  # fmt: skip
Begun = Annotated[
    str, typer.Option("--from", metavar="DAY", help="The day from which it counts.", callback=_day)
]


@app.callback()
def all_rates() -> None:
    """Rates at which figures of several currencies are shown as one (docs/figures.md)."""


@app.command("set")
def set_(from_currency: From, to_currency: To, rate: Amount, *, since: Since) -> None:
    """Set a rate, which counts from a day until the next one of these currencies.

    One of the same day is replaced. Figures of days that have passed change with it.
    """
    pair = _pair(from_currency, to_currency, since)
    by = command_line_actor()

    async def run(pool: Pool) -> Decimal | None:
        return await exchange.set_rate(pool, pair, Decimal(rate), by)

    former = with_pool(run)
    replaced = "" if former is None else f", instead of {former:f}"
    typer.echo(f"1 {from_currency.upper()} is {rate} {to_currency.upper()} from {since}{replaced}")


@app.command()
def remove(from_currency: From, to_currency: To, *, since: Begun) -> None:
    """Remove a rate; the one before it counts again."""
    pair = _pair(from_currency, to_currency, since)
    by = command_line_actor()

    async def run(pool: Pool) -> None:
        await exchange.remove_rate(pool, pair, by)

    with_pool(run)
    typer.echo("removed")


@app.command("list")
def list_() -> None:
    """List all rates: currencies, first day, rate, and who has set it."""
    for row in with_pool(exchange.list_rates):
        names = f"{row['from_currency'].upper()} {row['to_currency'].upper()}"
        typer.echo(f"{names}  from {row['begins_on']}  {row['rate']:f}  {row['set_by']}")


def _pair(from_currency: str, to_currency: str, since: str) -> Pair:
    return Pair(from_currency.lower(), to_currency.lower(), date.fromisoformat(since))
