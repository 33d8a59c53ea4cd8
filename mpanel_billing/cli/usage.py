"""`mpanel-billing usage`: what subscriptions have used."""

from typing import Annotated
from uuid import UUID

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.options import Reason
from mpanel_billing.usage import settling

app = typer.Typer(help="Usage that is billed (docs/usage.md).", no_args_is_help=True)


@app.callback()
def usage() -> None:
    """Usage that is billed (docs/usage.md)."""


@app.command()
def settle(
    event: Annotated[UUID, typer.Argument(help="The meter event, as billing_trouble names it.")],
    *,
    reason: Reason,
) -> None:
    """Note that usage which Stripe does not bill was charged otherwise, or given away."""
    by = command_line_actor()
    with_pool(lambda pool: settling.settle(pool, event, reason, by))
    typer.echo("settled")
