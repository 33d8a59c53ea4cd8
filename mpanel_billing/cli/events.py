"""`mpanel-billing events`: list, show and replay the Stripe events in the inbox."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import open_mirror, with_pool
from mpanel_billing.cli.output import moment_text, print_line, print_text
from mpanel_billing.mirror.service import Outcome
from mpanel_billing.telemetry.quoting import quote
from mpanel_billing.webhooks.event import Selection
from mpanel_billing.webhooks.inbox import FAILED, STATUSES, list_events, show_event
from mpanel_billing.webhooks.replaying import (
    replay_event,
    replay_failed_events,
    replay_ignored_events,
)

app = typer.Typer(help="List, show and replay Stripe events.", no_args_is_help=True)

_DETAIL_LENGTH = 100
_TYPE_HELP = "For example: charge.refunded"
TypeOption = Annotated[str | None, typer.Option("--type", help=_TYPE_HELP)]
SinceOption = Annotated[
    int | None, typer.Option(min=1, max=3650, help="Only those received in the last DAYS.")
]
EventId = Annotated[str, typer.Argument(help="For example: evt_1Pgc7HB7WZ01zgkW")]


@app.command("list")
def list_(
    status: Annotated[
        str | None,
        typer.Option(help="received, applied, stale, ignored or failed; default: all."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of events.")] = 50,
) -> None:
    """List events, newest first."""
    if status is not None and status not in STATUSES:
        raise typer.BadParameter(f"--status must be one of: {', '.join(STATUSES)}")
    rows = with_pool(lambda pool: list_events(pool, status, limit))
    for row in rows:
        detail = (row["detail"] or "").partition("\n")[0]  # the sentence; a traceback follows
        print_line(
            f"{moment_text(row['received_at'])}  {row['status']:<8}  {row['id']}  "
            f"{row['type']:<36}  {row['object_id'] or '-'}  {quote(detail, _DETAIL_LENGTH)}"
        )
    if not rows:
        typer.echo("no events")


@app.command()
def show(event_id: EventId) -> None:
    """Show an event: its status, last error and payload."""
    row = with_pool(lambda pool: show_event(pool, event_id))
    for name, value in row.items():
        if value is not None and name not in {"payload", "last_error"}:
            print_line(f"{name:<16} {value}")
    if row["last_error"]:
        print_text(row["last_error"])
    if row["payload"] is None:
        typer.echo("the payload has been pruned")
    else:
        print_text(json.dumps(row["payload"], indent=2, ensure_ascii=False))


@app.command()
def replay(event_id: EventId) -> None:
    """Apply a failed or ignored event again."""
    asyncio.run(_replay(event_id))


@app.command("replay-failed")
def replay_failed(type_: TypeOption = None, since: SinceOption = None) -> None:
    """Apply the failed events again, all or some."""
    selection = Selection(type_, since)
    asyncio.run(_replay_all("failed", replay_failed_events, selection))


@app.command("replay-ignored")
def replay_ignored(
    type_: Annotated[str, typer.Option("--type", help=_TYPE_HELP)], since: SinceOption = None
) -> None:
    """Apply ignored events of a type, as after an upgrade that mirrors it."""
    selection = Selection(type_, since)
    asyncio.run(_replay_all("ignored", replay_ignored_events, selection))


async def _replay(event_id: str) -> None:
    async with open_mirror() as mirror:
        outcome = await replay_event(mirror, event_id, by=command_line_actor())
    typer.echo(f"{event_id} {outcome.status}")
    if outcome.status == FAILED:
        raise typer.Exit(1)


async def _replay_all(
    kind: str,
    replay_selected: Callable[..., AsyncIterator[tuple[str, Outcome | None]]],
    selection: Selection,
) -> None:
    tried = failed = 0
    async with open_mirror() as mirror:
        replayed = replay_selected(mirror, selection, by=command_line_actor())
        async for event_id, outcome in replayed:
            tried += 1
            word = outcome.status if outcome else "done by another process"
            failed += word == FAILED
            typer.echo(f"{event_id} {word}")
    if not tried:
        typer.echo(f"no {kind} events")
    if failed:
        raise typer.Exit(1)
