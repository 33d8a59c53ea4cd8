"""`mpanel-billing receivers`: who is told what changes."""

from datetime import datetime
from typing import Annotated

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.output import json_text, moment_text, print_line
from mpanel_billing.messages import receivers
from mpanel_billing.settings import load_settings

app = typer.Typer(
    help="Receivers of messages: who is told about changes (docs/messages.md).",
    no_args_is_help=True,
)

_A_WEEK = 168
Name = Annotated[str, typer.Argument(help="Its name.")]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="A type, invoice.* or the like; may be repeated. Default: all."),
]


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A name, for example panel.")],
    url: Annotated[str, typer.Argument(help="Messages are POSTed to it.")],
    *,
    types: Types = None,
) -> None:
    """Add a receiver, and print the secret that verifies its messages."""
    livemode = load_settings().livemode
    secret = with_pool(
        lambda pool: receivers.add(
            pool, command_line_actor(), name=name, url=url, types=types or [], livemode=livemode
        )
    )
    _print_secret(secret)


@app.command("list")
def list_(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the receivers, what waits for them, and what was given up."""
    rows = with_pool(receivers.list_all)
    if as_json:
        typer.echo(json_text([dict(row) for row in rows]))
        return
    for row in rows:
        state = _state(row["disabled_at"], row["disabled_reason"], row["failing_since"])
        counts = f"{row['waiting']:,} waiting, {row['given_up']:,} given up"
        print_line(f"{row['name']:<16} {row['url']}  {','.join(row['types'])}  {counts}  {state}")
    if not rows:
        typer.echo("no receivers: mpanel-billing receivers add NAME URL")


def _state(disabled_at: datetime | None, reason: str | None, failing: datetime | None) -> str:
    if disabled_at:
        return f"disabled {moment_text(disabled_at)}: {reason}"
    return f"failing since {moment_text(failing)}" if failing else "enabled"


@app.command()
def change(
    name: Name,
    *,
    url: Annotated[str | None, typer.Option(help="Its new address.")] = None,
    types: Types = None,
) -> None:
    """Change a receiver's address, or the types that it gets."""
    if not url and not types:
        raise typer.BadParameter("give --url or --type")
    by = command_line_actor()
    with_pool(lambda pool: receivers.change(pool, by, name, url=url, types=types))
    typer.echo(f"{name} changed")


@app.command("roll-secret")
def roll_secret(
    name: Name,
    *,
    hours: Annotated[
        int, typer.Option(min=0, max=_A_WEEK, help="How long the former secret stays valid.")
    ] = receivers.OVERLAP_HOURS,
) -> None:
    """Replace the secret and print the new one."""
    by = command_line_actor()
    _print_secret(with_pool(lambda pool: receivers.roll_secret(pool, by, name, hours=hours)))
    if hours:
        typer.echo(f"Until {hours} hours from now the former one is valid too.", err=True)


@app.command()
def disable(name: Name) -> None:
    """Stop sending to a receiver; its messages wait."""
    with_pool(lambda pool: receivers.disable(pool, command_line_actor(), name))
    typer.echo(f"{name} disabled")


@app.command()
def enable(name: Name) -> None:
    """Send to a receiver again, first what has waited."""
    with_pool(lambda pool: receivers.enable(pool, command_line_actor(), name))
    typer.echo(f"{name} enabled")


@app.command()
def remove(name: Name) -> None:
    """Delete a receiver, and what waits for it."""
    with_pool(lambda pool: receivers.remove(pool, command_line_actor(), name))
    typer.echo(f"{name} removed")


def _print_secret(secret: str) -> None:
    typer.echo(secret)
    typer.echo("Store it where messages are verified: it is not shown again.", err=True)
