"""The commands of `mpanel-billing domains` about what a registrar has to do."""

import sys
from collections.abc import Awaitable, Callable
from uuid import UUID

import typer
from pydantic import SecretStr

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Target, command_line_actor
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.domains import Name
from mpanel_billing.cli.options import Reason
from mpanel_billing.cli.owned_domains import app
from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.domains.auth_codes import AuthCodes
from mpanel_billing.domains.names import DomainName
from mpanel_billing.domains.repository.names import (
    hand_in_auth_code,
    settle_failed,
)
from mpanel_billing.errors import ConflictError
from mpanel_billing.provisioning.registrar import repository
from mpanel_billing.provisioning.registrar.retrying import retry_domain
from mpanel_billing.settings import load_settings

__all__ = ["app"]  # of `domains`, with these commands


@app.command()
def retry(name: Name) -> None:
    """Have the worker look at a name now, and send again what was refused.

    By its registrar; or by Stripe, if it could not be obtained and its price is to be refunded.
    """
    by = command_line_actor()
    with_pool(lambda pool: retry_domain(pool, name, by))
    typer.echo("the worker looks at it now")


@app.command("auth-code")
def auth_code(name: Name) -> None:
    """Hand in the code for a transfer: typed, or from standard input."""
    typed = typer.prompt("Auth code", hide_input=True) if sys.stdin.isatty() else sys.stdin.read()
    stored = AuthCodes(load_settings().encryption_keys).encrypt(SecretStr(typed))

    async def hand_in(conn: Connection, name: DomainName) -> UUID | None:
        return await hand_in_auth_code(conn, name, stored)

    _change(name, "hand_in_code", hand_in, "No transfer of {name} waits for an auth code.")
    typer.echo("stored; the worker asks for the transfer")


@app.command("give-up")
def give_up(name: Name, reason: Reason) -> None:
    """Stop trying to get a name that the registry has no order for; its price is refunded."""

    async def stop(conn: Connection, name: DomainName) -> UUID | None:
        return await repository.give_up(conn, name, reason)

    _change(
        name,
        "give_up",
        stop,
        "{name} cannot be given up: it is not being ordered, or it may be ordered at the registry"
        " already (see `domains show`).",
    )
    typer.echo("given up; what was paid for it is refunded")


@app.command()
def moved(name: Name) -> None:
    """Record that a customer has moved a name to another registrar: it is their own now."""
    _change(name, "moved", repository.accept_loss, "{name} has not left its registrar.")
    typer.echo("it is the customer's own now")


@app.command()
def settled(name: Name) -> None:
    """Mark a name that could not be obtained and is not refunded here as settled with its buyer."""
    _change(name, "settled", settle_failed, "{name} is not waiting for that.")
    typer.echo("settled")


def _change(
    name: DomainName,
    action: str,
    change: Callable[[Connection, DomainName], Awaitable[UUID | None]],
    conflict: str,
) -> None:
    async def run(pool: Pool) -> None:
        async with transaction(pool) as conn:
            id_ = await change(conn, name)
            if id_ is None:
                raise ConflictError(conflict.format(name=name.unicode))
            target = Target("domain", str(id_))
            details = {"domain": name.ascii}
            await audit.record(conn, command_line_actor(), f"domain.{action}", target, details)

    with_pool(run)
