"""`mpanel-billing deliveries`: which messages were sent, and sending them again."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import asyncpg
import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.output import json_text, moment_text, print_line, print_text
from mpanel_billing.database.pool import Pool
from mpanel_billing.messages import receivers
from mpanel_billing.messages.repository import Selection
from mpanel_billing.provisioning.operations import find_subscription

app = typer.Typer(help="List, show and resend messages to mPanel.", no_args_is_help=True)

_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
_STATES = ", ".join(receivers.STATES)
ReceiverOption = Annotated[str | None, typer.Option(help="Only of this receiver.")]


@app.command("list")
def list_(
    *,
    state: Annotated[str | None, typer.Option(help=f"{_STATES}; default: all.")] = None,
    receiver: ReceiverOption = None,
    subscription: Annotated[
        str | None, typer.Option(help="Only about this one: our id, or Stripe's.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List deliveries, the latest message first."""
    if state is not None and state not in receivers.STATES:
        raise typer.BadParameter(f"--state must be one of: {_STATES}")
    rows = with_pool(lambda pool: _list(pool, state, receiver, subscription, limit))
    if as_json:
        typer.echo(json_text([dict(row) for row in rows]))
        return
    for row in rows:
        print_line(
            f"{moment_text(row['occurred_at'])}  {row['id']}  {row['type']:<24} "
            f"{row['object_id']}  {row['receiver']}  {_outcome(row)}"
        )
    if not rows:
        typer.echo("no deliveries")


async def _list(
    pool: Pool, state: str | None, receiver: str | None, subscription: str | None, most: int
) -> list[asyncpg.Record]:
    id_: UUID | None = await find_subscription(pool, subscription) if subscription else None
    return list(
        await receivers.list_deliveries(
            pool, state=state, receiver=receiver, subscription_id=id_, most=most
        )
    )


@app.command()
def show(message_id: Annotated[str, typer.Argument(help="For example: msg_0f3a...")]) -> None:
    """Show a message as it was recorded, and its deliveries."""
    message, deliveries = with_pool(lambda pool: receivers.show_message(pool, message_id))
    for name, value in message.items():
        if value is not None and name != "data":
            print_line(f"{name:<16} {value}")
    print_text(json_text(message["data"]))
    for row in deliveries:
        print_line(f"{row['receiver']:<16} {_outcome(row)}")
    if not deliveries:
        typer.echo("no receiver wants this type")


@app.command()
def resend(
    message_id: Annotated[str | None, typer.Argument(help="Only this message.")] = None,
    *,
    receiver: Annotated[
        str | None,
        typer.Option(help="Only to this receiver, also what it was never sent."),
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=_FORMATS, help="Recorded since then (UTC).")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=_FORMATS, help="Recorded before then (UTC).")
    ] = None,
    given_up: Annotated[bool, typer.Option("--given-up", help="Only what was given up.")] = False,
) -> None:
    """Send messages again, under the same ids: one, those of a time, or those given up."""
    if not any((message_id, receiver, since, given_up)):
        raise typer.BadParameter("name a message, --receiver, --since or --given-up")
    chosen = Selection(message_id, receiver, _utc(since), _utc(until), given_up)
    count = with_pool(lambda pool: receivers.resend(pool, command_line_actor(), chosen))
    typer.echo(f"{count:,} to be sent again")


@app.command()
def dismiss(
    message_id: Annotated[str, typer.Argument(help="A message that was given up.")],
    *,
    receiver: ReceiverOption = None,
) -> None:
    """Dismiss a message that was given up: it stays unsent, and is no longer trouble."""
    by = command_line_actor()
    count = with_pool(lambda pool: receivers.dismiss(pool, by, message_id, receiver))
    typer.echo(f"{message_id} dismissed for {count} receivers")


def _utc(moment: datetime | None) -> datetime | None:
    return moment and moment.replace(tzinfo=UTC)


def _outcome(row: asyncpg.Record) -> str:
    """Say how a delivery stands."""
    if row["state"] == "delivered":
        return f"delivered {moment_text(row['tried_at'])}"
    reason = f": {row['last_error']}" if row["last_error"] else ""
    if row["state"] == "given_up":
        return f"given up after {row['attempts']} attempts{reason}"
    due = row["next_attempt_at"]
    when = f"next {moment_text(due)}" if due else "until the receiver is enabled"
    return f"waiting, {row['attempts']} attempts, {when}{reason}"
