"""`mpanel-billing change`, `pause`, `resume` and others: what /api/billing does, for support."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.catalogue.cycles import canonical_cycle
from mpanel_billing.cli.database import with_mirror
from mpanel_billing.cli.options import Reason, Subscription
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.money import format_money
from mpanel_billing.provisioning import operations
from mpanel_billing.settings import load_settings

if TYPE_CHECKING:  # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.provisioning.drivers.registry import Drivers
    from mpanel_billing.subscriptions.change_plan import PlanChangePreview
    from mpanel_billing.subscriptions.lifecycle import Changed, ChangeRequest
    from mpanel_billing.subscriptions.pausing import ResumePreview

Result = TypeVar("Result")

Key = Annotated[
    str | None, typer.Option("--key", help="The same key again returns the first result.")
]

Addons = Annotated[
    list[str] | None,
    typer.Option("--addon", help="Code of an add-on; those not named are removed."),
]
Quantities = Annotated[
    list[str] | None,
    typer.Option(
        "--quantity", metavar="CODE=N", help="How many of the plan or an add-on; the rest stays."
    ),
]
When = Annotated[
    Literal["now", "period_end"] | None,
    typer.Option(help="Without it, a downgrade waits for the end of the term."),
]


def change(
    subscription: Subscription,
    *,
    plan: Annotated[str, typer.Option(help="Code of the plan.")],
    cycle: Annotated[str, typer.Option(help="The term, such as monthly or annually.")],
    addons: Addons = None,
    quantities: Quantities = None,
    when: When = None,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what it costs.")] = False,
    pay_first: Annotated[
        bool, typer.Option("--pay-first", help="First charge what is unpaid of the running term.")
    ] = False,
    await_confirmation: Annotated[
        bool,
        typer.Option(
            "--await-confirmation",
            help="If the payment fails, let the change wait for the customer.",
        ),
    ] = False,
    key: Key = None,
) -> None:
    """Change the plan, term or add-ons of a subscription, or show what that costs."""
    from mpanel_billing.subscriptions import change_plan  # noqa: PLC0415 - see above
    from mpanel_billing.subscriptions.item_changes import PlanRequest  # noqa: PLC0415

    wanted = PlanRequest(
        plan,
        canonical_cycle(cycle),
        tuple(addons) if addons else None,
        when=when,
        quantities=tuple(sorted(map(_read_quantity, quantities or ()))),
    )
    if preview:
        look = partial(change_plan.preview_plan_change, plan=wanted)
        _print_preview(run_for(subscription, key, asking_services(look)))
        return
    make = partial(
        change_plan.change_plan, plan=wanted, pay_first=pay_first, confirmable=await_confirmation
    )
    print_changed(run_for(subscription, key, asking_services(make)))


def _read_quantity(text: str) -> tuple[str, int]:
    code, _, number = text.partition("=")
    if not number.isdecimal():
        raise typer.BadParameter(f"{text!r} is not like starter=2")
    return code, int(number)


def undo_change(subscription: Subscription, *, key: Key = None) -> None:
    """Keep the plan: undo a change that is planned for the end of the term."""
    from mpanel_billing.subscriptions import lifecycle  # noqa: PLC0415 - see above

    print_changed(run_for(subscription, key, lifecycle.undo_change))


def pause(
    subscription: Subscription,
    *,
    until: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%d"], help="Until this day (UTC), if only its collection can be paused."
        ),
    ] = None,
    reason: Reason,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what it does.")] = False,
    key: Key = None,
) -> None:
    """Pause a subscription; `resume` ends the pause."""
    from mpanel_billing.subscriptions import pausing  # noqa: PLC0415 - see above

    end = until and until.replace(tzinfo=UTC)
    if preview:
        found = run_for(
            subscription, key, lambda mirror, request: pausing.preview_pause(mirror, request, end)
        )
        served = moment_text(found.served_until) if found.served_until else "now"
        typer.echo(f"pauses the {found.way}; served until {served}")
        return
    print_changed(
        run_for(
            subscription,
            key,
            lambda mirror, request: pausing.pause(mirror, request, until=end, reason=reason),
        )
    )


def resume(
    subscription: Subscription,
    *,
    preview: Annotated[bool, typer.Option("--preview", help="Only show what it costs.")] = False,
    key: Key = None,
) -> None:
    """Undo a planned cancellation, or a pause: then a new term is charged now."""
    from mpanel_billing.subscriptions import lifecycle, pausing  # noqa: PLC0415 - see above

    if preview:
        found = run_for(subscription, key, pausing.preview_resume)
        _print_resumption(found)
        return
    print_changed(run_for(subscription, key, lifecycle.resume))


def _print_resumption(found: "ResumePreview") -> None:
    typer.echo(f"due now: {format_money(found.due_now, found.currency)}")
    for line in found.lines:
        taxed = f", including {format_money(line.tax, found.currency)} tax" if line.tax else ""
        print_line(f"  {format_money(line.gross, found.currency)}{taxed}  {line.description}")
    if found.balance:
        print_line(f"  {format_money(found.balance, found.currency)}  the customer's balance")


def asking_services(
    do: "Callable[[Mirror, Drivers, ChangeRequest], Awaitable[Result]]",
) -> "Callable[[Mirror, ChangeRequest], Awaitable[Result]]":
    """Let it ask the services with accounts."""
    from mpanel_billing.provisioning.drivers.registry import open_drivers  # noqa: PLC0415

    async def run(mirror: Mirror, request: "ChangeRequest") -> Result:
        async with open_drivers(load_settings()) as drivers:
            return await do(mirror, drivers, request)

    return run


def run_for(
    subscription: str, key: str | None, do: "Callable[[Mirror, ChangeRequest], Awaitable[Result]]"
) -> Result:
    """Run what a request for the subscription does, as the operator at the command line."""
    from mpanel_billing.subscriptions.lifecycle import ChangeRequest  # noqa: PLC0415 - see above
    from mpanel_billing.subscriptions.lookup import CustomerRef  # noqa: PLC0415

    by = command_line_actor()

    async def run(mirror: Mirror) -> Result:
        id_ = await operations.find_subscription(mirror.pool, subscription)
        return await do(mirror, ChangeRequest(by, id_, CustomerRef(), key))

    return with_mirror(run)


def _print_preview(found: "PlanChangePreview") -> None:
    preview = found.preview
    if not preview.changes:
        typer.echo("nothing changed: it was like that already")
        return
    when = f"at {moment_text(preview.effective_at)}" if preview.effective_at else "now"
    typer.echo(f"takes effect {when}")
    for name, amount in (("due now", preview.due_now), ("credited", preview.credited)):
        typer.echo(f"{name}: {format_money(amount, preview.currency)}")
    for line in preview.invoice.lines if preview.invoice else ():
        print_line(f"  {format_money(line.amount, preview.currency)}  {line.description}")
    if preview.invoice and preview.invoice.added_tax:
        typer.echo(f"  {format_money(preview.invoice.added_tax, preview.currency)}  taxes")
    if preview.next:
        at = f" at {moment_text(preview.next.at)}" if preview.next.at else ""
        typer.echo(f"next charge: {format_money(preview.next.amount, preview.currency)}{at}")


def print_changed(done: "Changed") -> None:
    """Print the subscription after a change in one line."""
    held = done.subscription
    if waits := done.confirmation:
        print_line(
            f"waits until {moment_text(waits.expires_at)} for"
            f" {format_money(waits.amount, waits.currency)}: {waits.url}"
        )
        return
    if not done.changed:
        typer.echo("nothing changed: it was like that already")
        return
    plan = f"{held.plan.code} {held.plan.billing_cycle}" if held.plan else "no plan"
    to_come = held.to_come
    then = (
        f", {to_come.plan_code} {to_come.billing_cycle} from {moment_text(to_come.effective_at)}"
        if to_come
        else ""
    )
    print_line(f"{held.stripe_id} is {held.stripe_status}: {plan}{then}")
