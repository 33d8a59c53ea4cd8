"""`mpanel-billing deleted`: subscriptions whose rows were deleted here while Stripe knows them."""

from typing import Annotated

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_mirror, with_pool
from mpanel_billing.cli.options import Subscription
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.reconciliation import deleted

app = typer.Typer(
    help="Decide about subscriptions whose rows mPanel deleted.",
    no_args_is_help=True,
)


@app.command("list")
def list_() -> None:
    """List the deleted subscriptions that wait for a decision."""
    rows = with_pool(deleted.list_all_deleted)
    for row in rows:
        accounts = ", ".join(row["accounts"]) or "no accounts"
        print_line(
            f"{row['subscription_id']}  {row['stripe_subscription_id']}"
            f"  {row['stripe_status'] or '-'}  {row['domain'] or '-'}"
            f"  deleted {moment_text(row['deleted_at'])}  ({accounts})"
        )
    if not rows:
        typer.echo("none waits for a decision")


@app.command()
def restore(subscription: Subscription) -> None:
    """Bring a subscription back under its own id, and provision it again."""
    by = command_line_actor()
    done = with_mirror(lambda mirror: deleted.restore(mirror, subscription, by))
    typer.echo(f"restored {done.subscription_id}")


@app.command()
def cancel(
    subscription: Subscription,
    *,
    refund: Annotated[
        bool, typer.Option("--refund/--no-refund", help="Refund its latest paid invoice in full.")
    ],
) -> None:
    """Cancel a subscription at Stripe; its accounts are suspended, and terminated later."""
    by = command_line_actor()
    done = with_mirror(lambda mirror: deleted.cancel(mirror, subscription, by, refund=refund))
    refunded = "" if done.refunded is None else f", refunded {done.refunded} in minor units"
    typer.echo(f"cancelled {done.subscription_id}{refunded}")
