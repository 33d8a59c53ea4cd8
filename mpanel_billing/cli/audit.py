"""`mpanel-billing audit`: who changed what."""

import json
from enum import Enum
from textwrap import shorten
from typing import Annotated

import asyncpg
import typer

from mpanel_billing.access import audit
from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.options import Evidence
from mpanel_billing.cli.output import json_text, moment_text, print_line
from mpanel_billing.settings import load_database_settings

app = typer.Typer(help="Changes made with a key or a command.", no_args_is_help=True)

_DETAIL_LENGTH = 200


class Outcome(Enum):
    """What has become of a change."""

    DONE = "done"
    FAILED = "failed"


@app.command("list")
def list_(
    target: Annotated[
        str | None, typer.Option(help="Only changes to this id: ours, evt_... or mpb_...")
    ] = None,
    actor: Annotated[
        str | None,
        typer.Option(help="Only changes by this actor: a key's name, or cli:<user>@<host>."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of changes.")] = 50,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List changes, newest first."""
    rows = with_pool(
        lambda pool: audit.list_entries(pool, most=limit, target_id=target, actor=actor)
    )
    if as_json:
        typer.echo(json_text([dict(row) for row in rows]))
        return
    for row in rows:
        print_line(_line(row))
    if not rows:
        typer.echo("no changes")


@app.command()
def settle(
    entry: Annotated[int, typer.Argument(help="The id of the change, as `list --json` shows it.")],
    outcome: Annotated[Outcome, typer.Option(help="Whether it took effect.")],
    reason: Evidence,
) -> None:
    """Record whether a change took effect that stayed `attempted`; look at Stripe first."""
    by = command_line_actor()
    with_pool(lambda pool: audit.settle(pool, entry, outcome.value, reason, by))
    typer.echo(f"{entry} is {outcome.value}")


@app.command()
def prune(
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what would be deleted.")
    ] = False,
) -> None:
    """Delete changes older than KEEP_AUDIT_DAYS; needs AUDIT_DATABASE_URL (docs/access.md)."""
    settings = load_database_settings()
    days = settings.keep_audit_days
    if dry_run:
        count = with_pool(lambda pool: audit.count_prunable(pool, days))
        typer.echo(f"{count:,} changes are older than {days} days")
        return
    by = command_line_actor()
    pruned = with_pool(lambda pool: audit.prune(pool, by, days), settings.for_audit())
    typer.echo(f"deleted {pruned:,} changes older than {days} days")


def _line(row: asyncpg.Record) -> str:
    target = f"{row['target_type']} {row['target_id']}" if row["target_id"] else "-"
    outcome = row["outcome"] + (f" ({row['error']})" if row["error"] else "")
    details = json.dumps(row["details"], ensure_ascii=False) if row["details"] else ""
    details = shorten(details, _DETAIL_LENGTH, placeholder=" ... (--json shows all)")
    actor = row["actor"] + (f" for {row['person']}" if row["person"] else "")
    return (
        f"{moment_text(row['at'])}  {actor}  {row['action']}  {target}  {outcome}  {details}"
    ).rstrip()
