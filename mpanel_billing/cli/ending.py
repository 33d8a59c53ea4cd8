"""`mpanel-billing cancel`, `end`, `trial`: how subscriptions and trials end, for support."""

from datetime import UTC, datetime
from typing import Annotated, Literal

import typer

from mpanel_billing.cli.options import OptionalReason, Reason, Subscription
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.cli.subscriptions import Key, print_changed, run_for
from mpanel_billing.money import format_money


def cancel(
    subscription: Subscription,
    *,
    now: Annotated[bool, typer.Option("--now", help="Not at the end of the term.")] = False,
    reason: Reason,
    key: Key = None,
) -> None:
    """Cancel a subscription at the end of its term, or now; nothing is given back."""
    # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.subscriptions import lifecycle  # noqa: PLC0415

    print_changed(
        run_for(
            subscription,
            key,
            lambda mirror, request: lifecycle.cancel(
                mirror, request, at_period_end=not now, reason=reason
            ),
        )
    )


def end(
    subscription: Subscription,
    *,
    unused: Annotated[
        Literal["refund", "credit"], typer.Option(help="What becomes of the unused time.")
    ] = "refund",
    reason: Reason,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what it does.")] = False,
    key: Key = None,
) -> None:
    """End a subscription now, and give back the time that was paid for and is not used."""
    from mpanel_billing.subscriptions import ending  # noqa: PLC0415 - see above

    wanted = ending.Ending(unused, reason=reason)
    if preview:
        given = run_for(
            subscription,
            key,
            lambda mirror, request: ending.preview_ending(mirror, request, wanted),
        )
        typer.echo(f"refunded: {format_money(given.refunded, given.currency)}")
        typer.echo(f"credited: {format_money(given.credited, given.currency)}")
        return
    print_changed(
        run_for(subscription, key, lambda mirror, request: ending.end_now(mirror, request, wanted))
    )


def trial(
    subscription: Subscription,
    *,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Extend it to this day (UTC).")
    ] = None,
    reason: Reason,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what it does.")] = False,
    key: Key = None,
) -> None:
    """Extend a trial with --until, else end it: the subscription is charged now."""
    from mpanel_billing.subscriptions import trials  # noqa: PLC0415 - see above

    ends_at = until and until.replace(tzinfo=UTC)
    if preview:
        found = run_for(
            subscription,
            key,
            lambda mirror, request: trials.preview_trial(mirror, request, ends_at),
        )
        when = moment_text(found.ends_at) if found.ends_at else "now"
        typer.echo(f"ends {when}; due now: {format_money(found.due_now, found.currency)}")
        return
    print_changed(
        run_for(
            subscription,
            key,
            lambda mirror, request: trials.change_trial(mirror, request, ends_at, reason=reason),
        )
    )


def offer(
    subscription: Subscription,
    *,
    take: Annotated[bool, typer.Option("--take", help="Give it to them.")] = False,
    reason: OptionalReason = None,
    key: Key = None,
) -> None:
    """Show what a customer who wants to cancel is offered; --take gives it to them."""
    from mpanel_billing.subscriptions import retention_offers  # noqa: PLC0415 - see above

    if take:
        print_changed(
            run_for(
                subscription,
                key,
                lambda mirror, request: retention_offers.take_offer(mirror, request, reason=reason),
            )
        )
        return
    found = run_for(subscription, key, retention_offers.find_offer)
    if found is None:
        typer.echo("nothing is offered")
        return
    amount = format_money(found.amount, found.currency)
    print_line(f"{found.coupon.code}: {found.coupon.name}; next charge {amount}")
