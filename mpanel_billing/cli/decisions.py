"""`mpanel-billing provision`: what operators decide about suspension, and about unknown prices."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.options import Operator, Reason, Subscription, change_subscription
from mpanel_billing.provisioning import leniency, operations

app = typer.Typer()

Price = Annotated[str, typer.Argument(help="Stripe's id (price_...).")]


@app.command()
def suspend(
    subscription: Subscription,
    reason: Reason,
    operator: Operator = "operator",
) -> None:
    """Suspend all services of a subscription until `lift`; a payment does not resume them."""
    change_subscription(
        subscription,
        lambda pool, id_, by: operations.suspend(
            pool, id_, reason=reason, operator=operator, by=by
        ),
    )
    typer.echo("suspending")


@app.command()
def lift(subscription: Subscription, operator: Operator = "operator") -> None:
    """Lift an operator's suspension."""
    reason = change_subscription(
        subscription, lambda pool, id_, by: operations.lift(pool, id_, operator=operator, by=by)
    )
    typer.echo(f"lifting the suspension for: {reason}")


@app.command()
def lenient(
    subscription: Subscription,
    reason: Reason,
    grace_days: Annotated[
        int | None, typer.Option(min=0, max=leniency.MOST_GRACE_DAYS, help="Instead of GRACE_DAYS.")
    ] = None,
    not_before: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Until this day (UTC) no debt suspends."),
    ] = None,
    *,
    whole_customer: Annotated[
        bool, typer.Option("--customer", help="For all subscriptions of its customer.")
    ] = False,
    operator: Operator = "operator",
) -> None:
    """Agree with a customer on when a debt suspends; replaces an earlier agreement."""
    if grace_days is None and not_before is None:
        raise typer.BadParameter("pass --grace-days, --not-before or both")
    day = None if not_before is None else not_before.replace(tzinfo=UTC)
    agreement = leniency.Agreement(reason, grace_days, day, whole_customer)
    change_subscription(
        subscription,
        lambda pool, id_, by: leniency.agree_leniency(
            pool, id_, agreement, operator=operator, by=by
        ),
    )
    typer.echo("agreed")


@app.command()
def strict(
    subscription: Subscription,
    *,
    whole_customer: Annotated[
        bool,
        typer.Option("--customer", help="The agreement for all subscriptions of its customer."),
    ] = False,
) -> None:
    """End an agreement: the host's rules apply again."""
    reason = change_subscription(
        subscription,
        lambda pool, id_, by: leniency.end_leniency(
            pool, id_, whole_customer=whole_customer, by=by
        ),
    )
    typer.echo(f"no longer lenient for: {reason}")


@app.command("ignore-price")
def ignore_price(
    price: Price,
    reason: Reason,
    operator: Operator = "operator",
) -> None:
    """Ignore a price outside the catalogue: its items provide nothing, and are no trouble."""
    by = command_line_actor()
    checked = with_pool(
        lambda pool: operations.ignore_price(pool, price, reason=reason, operator=operator, by=by)
    )
    typer.echo(f"ignoring {price}; checking {checked} subscriptions again")


@app.command("heed-price")
def heed_price(price: Price) -> None:
    """Undo `ignore-price`."""
    by = command_line_actor()
    checked = with_pool(lambda pool: operations.heed_price(pool, price, by))
    typer.echo(f"no longer ignoring {price}; checking {checked} subscriptions again")
