"""`mpanel-billing usage`: what subscriptions have used."""

from typing import Annotated
from uuid import UUID

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.options import Reason, Subscription, of_subscription
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.money import format_money
from mpanel_billing.usage import settling
from mpanel_billing.usage.current import read_current

app = typer.Typer(help="Usage that is billed (docs/usage.md).", no_args_is_help=True)


@app.command()
def show(subscription: Subscription) -> None:
    """Show what a subscription has used in its present term, and what that will cost."""
    found = of_subscription(subscription, read_current)
    for one in found:
        told = [f"{one.waiting} events to be sent"] if one.waiting else []
        told += [f"{one.unbilled} events not billed"] if one.unbilled else []
        print_line(
            f"{one.meter}  {one.quantity:,} {one.unit} since {moment_text(one.term_start)}"
            f"  {format_money(one.cost, one.currency)}; by {moment_text(one.term_end)}"
            f" {one.forecast:,}, {format_money(one.forecast_cost, one.currency)}"
            f"{''.join(f'  {text}' for text in told)}"
        )
    if not found:
        typer.echo("nothing of it is billed by usage")


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
