"""`mpanel-billing usage`: what subscriptions have used."""

from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_mirror, with_pool
from mpanel_billing.cli.options import Reason, Subscription, of_subscription
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.money import format_money
from mpanel_billing.provisioning.operations import find_subscription
from mpanel_billing.settings import load_settings
from mpanel_billing.usage import limits, settling
from mpanel_billing.usage.current import CurrentUsage, read_current

if TYPE_CHECKING:  # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.mirror.mirror import Mirror
    from mpanel_billing.usage.comparing import Compared

app = typer.Typer(
    help="Usage that is billed: what it comes to, and what nobody is billed for.",
    no_args_is_help=True,
)


_NO_LAG = -timedelta(minutes=6)
"""Usage may be reported some minutes ahead of our clock."""


@app.command()
def show(subscription: Subscription) -> None:
    """Show what a subscription has used in its present term, and what that will cost."""
    found = of_subscription(subscription, read_current)
    for one in found:
        told = [f"{one.waiting} events to be sent"] if one.waiting else []
        told += [f"{one.unbilled} events not billed"] if one.unbilled else []
        told += _limit(one)
        print_line(
            f"{one.meter}  {one.quantity:,} {one.unit} since {moment_text(one.term_start)}"
            f"  {format_money(one.cost, one.currency)}; by {moment_text(one.term_end)}"
            f" {one.forecast:,}, {format_money(one.forecast_cost, one.currency)}"
            f"{''.join(f'  {text}' for text in told)}"
        )
    if not found:
        typer.echo("nothing of it is billed by usage")


def _limit(used: CurrentUsage) -> list[str]:
    if used.most is None:
        return []
    state = " reached" if used.is_limit_reached else ""
    state += ", suspended" if used.suspends else ""
    state += f", lifted {moment_text(used.lifted_at)}" if used.lifted_at else ""
    return [f"limit {used.most:,}{state}"]


@app.command()
def lift(subscription: Subscription, *, reason: Reason) -> None:
    """Let a subscription go on for the rest of its term, although its usage has reached a limit."""
    by = command_line_actor()
    meters = of_subscription(
        subscription, lambda pool, id_: limits.lift_limits(pool, id_, reason, by)
    )
    print_line(f"lifted until the next term: {', '.join(meters)}")


@app.command()
def compare(
    subscription: Annotated[
        str | None, typer.Argument(help="Our id, or Stripe's (sub_...); without it all.")
    ] = None,
) -> None:
    """Compare what Stripe has of the present and former terms with what it was sent."""
    checked, differing = with_mirror(lambda mirror: _compare(mirror, subscription))
    for one in differing:
        found = "nothing" if one.found is None else f"{one.found.normalize():,f}"
        print_line(
            f"{one.sent.subscription_id}  {one.sent.meter}  sent {one.sent.quantity:,},"
            f" at Stripe {found}  since {moment_text(one.sent.since)}"
        )
    typer.echo(f"{checked} compared, {len(differing)} differ")
    if differing:
        raise typer.Exit(1)


async def _compare(mirror: "Mirror", subscription: str | None) -> tuple[int, "list[Compared]"]:
    from mpanel_billing.reconciliation.paced_stripe import PacedStripe  # noqa: PLC0415 - see above
    from mpanel_billing.usage import comparing  # noqa: PLC0415 - see above

    id_ = await find_subscription(mirror.pool, subscription) if subscription else None
    stripe = PacedStripe(mirror.stripe, Pace(load_settings().usage_requests_per_second))
    scope = comparing.Scope(mirror.livemode, _NO_LAG, id_)
    found = [one async for one in comparing.compare(mirror.pool, stripe, scope)]
    return len(found), [one for one in found if one.differs]


@app.command()
def settle(
    event: Annotated[str, typer.Argument(help="The event, as billing_trouble names it.")],
    *,
    reason: Reason,
) -> None:
    """Note that usage which Stripe does not bill was charged otherwise, or given away."""
    by = command_line_actor()
    with_pool(lambda pool: settling.settle(pool, event, reason, by))
    typer.echo("settled")
