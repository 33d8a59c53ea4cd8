"""`mpanel-billing provision`: the servers of product types that have several, and moves."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import asyncpg
import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.options import Subscription, change_subscription
from mpanel_billing.cli.output import moment_text, print_line

if TYPE_CHECKING:  # loading the drivers takes longer than most commands
    from mpanel_billing.provisioning.repository.servers import ServerLoad

app = typer.Typer()

ProductType = Annotated[str, typer.Argument(metavar="TYPE", help="For example: hosting")]
Server = Annotated[str, typer.Argument(help="Its name in PROVISIONING_SERVICES.")]
OnlyType = Annotated[str | None, typer.Option("--type", help="Only accounts of this product type.")]
To = Annotated[
    str | None,
    typer.Option("--to", help="The server to move to; by default as for a new account."),
]
Gone = Annotated[
    bool,
    typer.Option(
        "--server-is-gone", help="The old server is gone for good: terminate nothing there."
    ),
]


@app.command()
def servers() -> None:
    """List what each server has to carry, and whether it gets new accounts."""
    from mpanel_billing.provisioning import moves as actions  # noqa: PLC0415 - see above

    loads = with_pool(actions.list_servers)
    for load in loads:
        print_line(_load_line(load))
    if not loads:
        typer.echo("no worker has recorded `servers` of PROVISIONING_SERVICES")


@app.command()
def move(subscription: Subscription, product_type: ProductType, to: To = None) -> None:
    """Move an account to another server, which makes it; its data has to be moved there."""
    from mpanel_billing.provisioning import moves as actions  # noqa: PLC0415 - see above

    server = change_subscription(
        subscription,
        lambda pool, id_, by: actions.move_account(pool, id_, product_type, to, by),
    )
    typer.echo(f"moving {product_type} to {server}; `provision moves` says when to move the data")


@app.command()
def moves(
    server: Annotated[str | None, typer.Option(help="From or to this server.")] = None,
) -> None:
    """List the moves that are not over, and what they wait for."""
    from mpanel_billing.provisioning import moves as actions  # noqa: PLC0415 - see above

    rows = with_pool(lambda pool: actions.list_moves(pool, server))
    for row in rows:
        print_line(_move_line(row))
    if not rows:
        typer.echo("no moves under way")


@app.command()
def moved(
    subscription: Subscription, product_type: ProductType, *, server_is_gone: Gone = False
) -> None:
    """Confirm that an account's data was moved: the old account is deleted."""
    from mpanel_billing.provisioning import moves as actions  # noqa: PLC0415 - see above

    server = change_subscription(
        subscription,
        lambda pool, id_, by: actions.confirm_move(
            pool, id_, product_type, by, is_server_gone=server_is_gone
        ),
    )
    typer.echo(f"{server} gets the account")


@app.command()
def stay(subscription: Subscription, product_type: ProductType) -> None:
    """Cancel a move: the account stays, and what was made at the new server is deleted."""
    from mpanel_billing.provisioning import moves as actions  # noqa: PLC0415 - see above

    server = change_subscription(
        subscription, lambda pool, id_, by: actions.cancel_move(pool, id_, product_type, by)
    )
    typer.echo(f"the account stays on {server}")


@app.command()
def drain(server: Server, to: To = None, only_type: OnlyType = None) -> None:
    """Empty a server: it gets no more accounts, and those that it has begin to move.

    Exits with 1 if some cannot move; repeat it once the reason is gone.
    """
    from mpanel_billing.provisioning import moves as actions  # noqa: PLC0415 - see above

    by = command_line_actor()
    emptied = with_pool(
        lambda pool: actions.drain_server(pool, server, by, product_type=only_type, to_server=to)
    )
    typer.echo(f"moving {emptied.begun} accounts away from {server}")
    for reason, count in emptied.left.items():
        print_line(f"{count} not moved: {reason}")
    if emptied.left:
        raise typer.Exit(1)


@app.command()
def drained(server: Server, only_type: OnlyType = None, *, server_is_gone: Gone = False) -> None:
    """Confirm for all accounts that were made elsewhere that their data was moved."""
    from mpanel_billing.provisioning import moves as actions  # noqa: PLC0415 - see above

    by = command_line_actor()
    confirmed = with_pool(
        lambda pool: actions.confirm_moves_from(
            pool, server, by, product_type=only_type, is_server_gone=server_is_gone
        )
    )
    typer.echo(f"{confirmed} accounts of {server} are at their new servers now")


@app.command()
def fill(server: Server, only_type: OnlyType = None) -> None:
    """Let a server get accounts again after `drain`; moves that have begun go on."""
    from mpanel_billing.provisioning import moves as actions  # noqa: PLC0415 - see above

    by = command_line_actor()
    with_pool(lambda pool: actions.stop_draining(pool, server, by, product_type=only_type))
    typer.echo(f"{server} gets accounts again")


def _load_line(load: "ServerLoad") -> str:
    most = "" if load.capacity is None else f" of {load.capacity}"
    return "  ".join(
        [
            f"{load.product_type:<10}  {load.server:<16}  {load.accounts}{most} accounts",
            f"weight {load.weight}",
            *_notes(load),
        ]
    )


def _notes(load: "ServerLoad") -> Iterator[str]:
    if load.tags:
        yield f"tags {' '.join(load.tags)}"
    if load.coming:
        yield f"{load.coming} moving here"
    if load.leaving:
        yield f"{load.leaving} moving away"
    if load.left_at is not None:
        yield f"not in PROVISIONING_SERVICES since {moment_text(load.left_at)}"
    if load.drained_at is not None:
        yield f"emptied by {load.drained_by} since {moment_text(load.drained_at)}"
    if load.failing_since is not None:
        word = "failing" if load.is_failing else "no answer"
        yield f"{word} since {moment_text(load.failing_since)}: {load.last_error}"


_NEXT = {
    "creating": "is being made there",
    "copying": "waits for its data",
    "terminating": "is there; the old one is being deleted",
    "cancelling": "is called off; the new one is being deleted",
}


def _move_line(row: asyncpg.Record) -> str:
    state = (
        "has its data" if row["state"] == "copying" and row["confirmed_by"] else _NEXT[row["state"]]
    )
    refs = f"{row['from_server']}:{row['former_ref']} -> {row['to_server']}:{row['new_ref'] or '-'}"
    notes = [
        "refused" if row["stopped"] else None,
        row["last_error"],
    ]
    return "  ".join(
        [
            f"{row['subscription_id']}  {row['product_type']:<10}  {refs}  {state}",
            *(note for note in notes if note),
        ]
    )
