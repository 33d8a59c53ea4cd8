"""`mpanel-billing provision`: what is billed, and who gets the accounts of an ended customer."""

from typing import Annotated
from uuid import UUID

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_mirror
from mpanel_billing.cli.options import Operator, Reason, Subscription, change_subscription
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.money import format_money
from mpanel_billing.provisioning import operations
from mpanel_billing.provisioning.late_payments import keep_payments

app = typer.Typer()


@app.command("collect-draft")
def collect(subscription: Subscription) -> None:
    """Finalize the latest draft for a term of a subscription at Stripe, and charge the customer."""
    # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.subscriptions.drafts import CollectedDraft, collect_draft  # noqa: PLC0415

    by = command_line_actor()

    async def run(mirror: Mirror) -> CollectedDraft:
        return await collect_draft(
            mirror, await operations.find_subscription(mirror.pool, subscription), by
        )

    done = with_mirror(run)
    typer.echo(f"{done.stripe_invoice_id} is {done.status}")


@app.command()
def revive(
    subscription: Subscription,
    *,
    without_discounts: Annotated[
        bool, typer.Option("--without-discounts", help="Leave out the discounts that it had.")
    ] = False,
) -> None:
    """Bill an ended customer again, for the same tenant and accounts.

    What was paid for is not billed again. Repeated, it has no further effect.
    """
    from mpanel_billing.subscriptions import revival  # noqa: PLC0415 - as above
    from mpanel_billing.subscriptions.lifecycle import Changed, ChangeRequest  # noqa: PLC0415
    from mpanel_billing.subscriptions.lookup import CustomerRef  # noqa: PLC0415

    by = command_line_actor()

    async def run(mirror: Mirror) -> Changed:
        id_ = await operations.find_subscription(mirror.pool, subscription)
        request = ChangeRequest(by, id_, CustomerRef())
        return await revival.revive(mirror, request, without_discounts=without_discounts)

    revived = with_mirror(run)
    made = "revived as" if revived.changed else "it was revived before, as"
    typer.echo(f"{made} {revived.subscription.stripe_id} ({revived.subscription.id})")


@app.command("keep-payment")
def keep_payment(
    subscription: Subscription, reason: Reason, operator: Operator = "operator"
) -> None:
    """Declare that what was paid after the end is settled: it no longer keeps the accounts."""
    kept = change_subscription(
        subscription,
        lambda pool, id_, by: keep_payments(pool, id_, reason=reason, operator=operator, by=by),
    )
    for payment in kept:
        amount = format_money(payment.amount, payment.currency)
        typer.echo(f"settled {amount} of {payment.stripe_invoice_id}")


@app.command()
def adopt(
    subscription: Subscription,
    tenant: Annotated[UUID, typer.Option(help="Id of the same customer's ended tenant.")],
) -> None:
    """Give a subscription the tenant and accounts, with their data, of an ended one."""
    change_subscription(subscription, lambda pool, id_, by: operations.adopt(pool, id_, tenant, by))
    typer.echo("joining")
