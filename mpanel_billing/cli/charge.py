"""`mpanel-billing charge`: what a subscription is charged once, with its next invoice."""

from typing import TYPE_CHECKING, Annotated

import typer

from mpanel_billing.cli.invoice import new_line, print_upcoming
from mpanel_billing.cli.options import Reason, Subscription
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.cli.subscriptions import Key, run_for
from mpanel_billing.money import format_money

if TYPE_CHECKING:  # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.stripe_gateway.one_off_charges import OneOffCharge

app = typer.Typer(help="Charge a subscription once, with its next invoice.", no_args_is_help=True)

What = Annotated[
    str, typer.Option("--line", metavar="WHAT=MINOR_UNITS", help="What is charged, before taxes.")
]


@app.command()
def add(
    subscription: Subscription,
    *,
    line: What,
    reason: Reason,
    preview: Annotated[bool, typer.Option("--preview", help="Only show the invoice.")] = False,
    key: Key = None,
) -> None:
    """Put a charge on the next invoice of a subscription."""
    from mpanel_billing.subscriptions import one_off_charges  # noqa: PLC0415 - see above

    wanted = new_line(line)
    if preview:
        print_upcoming(
            run_for(
                subscription,
                key,
                lambda mirror, request: one_off_charges.preview_charge(mirror, request, wanted),
            )
        )
        return
    _print(
        run_for(
            subscription,
            key,
            lambda mirror, request: one_off_charges.add_charge(
                mirror, request, wanted, reason=reason
            ),
        )
    )


@app.command("list")
def list_(subscription: Subscription) -> None:
    """List the charges of a subscription, the newest first."""
    from mpanel_billing.subscriptions import one_off_charges  # noqa: PLC0415 - see above

    found = run_for(
        subscription,
        None,
        lambda mirror, request: one_off_charges.list_charges(
            mirror, request.subscription_id, request.named
        ),
    )
    for charge in found:
        _print(charge)


@app.command()
def withdraw(
    subscription: Subscription,
    charge: Annotated[str, typer.Argument(help="Stripe's id of the charge (ii_...).")],
    *,
    reason: Reason,
    key: Key = None,
) -> None:
    """Take a charge off the next invoice, until Stripe makes that invoice."""
    from mpanel_billing.subscriptions import one_off_charges  # noqa: PLC0415 - see above

    changed = run_for(
        subscription,
        key,
        lambda mirror, request: one_off_charges.withdraw_charge(
            mirror, request, charge, reason=reason
        ),
    )
    print_line(f"{charge} is {'' if changed else 'already '}withdrawn")


def _print(charge: "OneOffCharge") -> None:
    billed = charge.stripe_invoice_id or "waits for the next invoice"
    amount = format_money(charge.amount, charge.currency)
    print_line(
        f"{charge.id}  {moment_text(charge.created)}  {amount}  {charge.description}  ({billed})"
    )
