"""`mpanel-billing keys`: API keys for /api/admin and /api/billing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Annotated

import asyncpg
import typer

from mpanel_billing.access import keys
from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.access.key import SCOPES, Limits, Network, read_scopes
from mpanel_billing.access.keyring import LOOK_UP_SECONDS
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.options import most_minor_units
from mpanel_billing.cli.output import json_text

app = typer.Typer(help="API keys for /api/admin and /api/billing.", no_args_is_help=True)

_HEADINGS = (
    "id", "name", "state", "scopes", "created (UTC)", "by", "expires", "last used", "limits"
)  # fmt: skip


@app.command()
def create(
    name: Annotated[str, typer.Option(help="The holder, for example panel-backend.")],
    *,
    scope: Annotated[list[str], typer.Option(help=f"One of {', '.join(SCOPES)}; may be repeated.")],
    expires_in: Annotated[
        int | None,
        typer.Option(min=1, max=keys.LONGEST_DAYS, help="Days until it expires; default: a year."),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(help="An address or network it may be used from; may be repeated."),
    ] = None,
    calls_per_minute: Annotated[
        int | None, typer.Option(min=1, help="The most calls in a minute.")
    ] = None,
    refunds_per_day: Annotated[
        int | None,
        typer.Option(
            parser=most_minor_units,
            metavar="MINOR_UNITS",
            help="The most it may refund in a day, per currency: 20000 is $200.00.",
        ),
    ] = None,
    no_expiry: Annotated[bool, typer.Option("--no-expiry", help="It never expires.")] = False,
) -> None:
    """Create a key and print it. It cannot be shown again."""
    if no_expiry and expires_in:
        raise typer.BadParameter("--no-expiry and --expires-in exclude each other")
    scopes = read_scopes(scope)
    lifetime = None if no_expiry else timedelta(days=expires_in or keys.YEAR.days)
    limits = Limits(_read_networks(network or []), calls_per_minute, refunds_per_day)
    issued = with_pool(
        lambda pool: keys.create_key(
            pool, command_line_actor(), name=name, scopes=scopes, lifetime=lifetime, limits=limits
        )
    )
    typer.echo(issued.text)
    until = f"expires {_moment(issued.expires_at)}" if issued.expires_at else "does not expire"
    typer.echo(f"{issued.id} ({name}) has {', '.join(scopes)}, and {until}.", err=True)
    typer.echo("Store it now: it cannot be shown again.", err=True)


def _read_networks(texts: Sequence[str]) -> tuple[Network, ...] | None:
    """Parse addresses and networks; None if there are none."""
    try:
        return tuple(ip_network(text) for text in texts) or None
    except ValueError as error:
        raise typer.BadParameter(f"--network: {error}") from None


@app.command("list")
def list_(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List all keys, oldest first; the keys themselves are not shown."""
    rows = with_pool(keys.list_keys)
    if as_json:
        typer.echo(json_text([dict(row) for row in rows]))
        return
    for line in _table(rows):
        typer.echo(line)
    if not rows:
        typer.echo("no keys")


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="NAME|ID", help="The key's name or id (mpb_...).")],
) -> None:
    """Revoke a key permanently."""
    key_id = with_pool(lambda pool: keys.revoke_key(pool, command_line_actor(), key))
    typer.echo(f"revoked {key_id}; it stops working within {LOOK_UP_SECONDS:.0f} s")


@app.command()
def roll(
    key: Annotated[str, typer.Argument(metavar="NAME|ID", help="The key's name or id (mpb_...).")],
    *,
    overlap_hours: Annotated[
        int,
        typer.Option(
            min=0,
            max=int(keys.LONGEST_OVERLAP / timedelta(hours=1)),
            help="How long the old key still works; 0: not at all.",
        ),
    ] = 24,
) -> None:
    """Replace a key by a new one with its name, scopes and limits, and print that."""
    overlap = timedelta(hours=overlap_hours)
    rolled = with_pool(lambda pool: keys.roll_key(pool, command_line_actor(), key, overlap=overlap))
    typer.echo(rolled.new.text)
    typer.echo(
        f"{rolled.new.id} is {rolled.name} now; {rolled.old_id} works until"
        f" {_moment(rolled.until)} (UTC).",
        err=True,
    )
    typer.echo("Store it now: it cannot be shown again.", err=True)


def _table(rows: Sequence[asyncpg.Record]) -> list[str]:
    """Format the keys as a table with a heading."""
    cells = [
        ("id", "name", "state", "scopes", "created (UTC)", "by", "expires", "last used", "limits")
    ] + [
        (
            row["id"],
            row["name"],
            f"{row['state']}{', replaced' if row['replaced_by'] else ''}",
            ",".join(row["scopes"]),
            _moment(row["created_at"]),
            row["created_by"],
            _moment(row["expires_at"]),
            _moment(row["last_used_at"]),
            _limits(row),
        )
        for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (cells if rows else [])
    ]


def _limits(row: asyncpg.Record) -> str:
    limits = [
        *(f"from {network}" for network in row["networks"] or ()),
        *([f"{row['calls_per_minute']} calls/min"] if row["calls_per_minute"] else []),
        *([f"refunds {row['refunds_per_day']}/day"] if row["refunds_per_day"] is not None else []),
    ]
    return ", ".join(limits) or "-"


def _moment(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else "-"
