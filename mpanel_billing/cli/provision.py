"""`mpanel-billing provision`: inspect provisioning, and get it unstuck."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, TypeVar
from uuid import UUID

import asyncpg
import typer

from mpanel_billing.access.audit import Actor, command_line_actor
from mpanel_billing.cli.database import with_mirror, with_pool
from mpanel_billing.cli.output import moment_text
from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning import operations
from mpanel_billing.provisioning.drift import find_drift, repair
from mpanel_billing.provisioning.drivers.protocol import Unknown
from mpanel_billing.provisioning.drivers.registry import open_drivers
from mpanel_billing.settings import load_settings
from mpanel_billing.subscriptions import revival
from mpanel_billing.subscriptions.drafts import CollectedDraft, collect_draft
from mpanel_billing.subscriptions.lifecycle import Changed, ChangeRequest
from mpanel_billing.subscriptions.lookup import CustomerRef

app = typer.Typer(help="Inspect provisioning, and get it unstuck.", no_args_is_help=True)

T = TypeVar("T")

Subscription = Annotated[str, typer.Argument(help="Our id, or Stripe's (sub_...).")]
Price = Annotated[str, typer.Argument(help="Stripe's id (price_...).")]
Operator = Annotated[
    str, typer.Option("--by", envvar=["SUDO_USER", "USER"], help="The operator, for the record.")
]


@app.command("list")
def list_() -> None:
    """List stuck subscriptions, and those suspended by an operator."""
    stuck = with_pool(operations.list_stuck)
    holds = with_pool(operations.list_holds)
    for row in stuck:
        typer.echo(_stuck_line(row))
    for row in holds:
        typer.echo(
            f"{row['subscription_id']}  suspended by {row['placed_by']}"
            f" since {moment_text(row['placed_at'])}: {row['reason']}"
        )
    if not stuck and not holds:
        typer.echo("nothing is stuck or suspended by an operator")


@app.command()
def show(subscription: Subscription) -> None:
    """Show the actual and the desired state of a subscription's services, and what was agreed."""
    for row in _of_subscription(subscription, operations.list_services):
        typer.echo(_service_line(row))
    for row in _of_subscription(subscription, operations.list_leniency):
        typer.echo(_leniency_line(row))


@app.command()
def retry(
    subscription: Annotated[
        str | None, typer.Argument(help="Our id, or Stripe's (sub_...).")
    ] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Retry all that are stuck.")] = False,
) -> None:
    """Retry now, including services that were refused or skipped."""
    if every == (subscription is not None):
        raise typer.BadParameter("name one subscription, or pass --all")
    if subscription is None:
        by = command_line_actor()
        typer.echo(f"retrying {with_pool(lambda pool: operations.retry_all(pool, by))}")
        return
    _change_subscription(subscription, operations.retry)
    typer.echo("retrying")


@app.command()
def suspend(
    subscription: Subscription,
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    operator: Operator = "operator",
) -> None:
    """Suspend all services of a subscription until `lift`; a payment does not resume them."""
    if not reason.strip():
        raise typer.BadParameter("--reason must not be empty")
    _change_subscription(
        subscription,
        lambda pool, id_, by: operations.suspend(
            pool, id_, reason=reason.strip(), operator=operator, by=by
        ),
    )
    typer.echo("suspending")


@app.command()
def lift(subscription: Subscription, operator: Operator = "operator") -> None:
    """Lift an operator's suspension."""
    reason = _change_subscription(
        subscription, lambda pool, id_, by: operations.lift(pool, id_, operator=operator, by=by)
    )
    typer.echo(f"lifting the suspension for: {reason}")


@app.command()
def lenient(
    subscription: Subscription,
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    grace_days: Annotated[
        int | None, typer.Option(min=0, max=3650, help="Instead of GRACE_DAYS.")
    ] = None,
    not_before: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Until this day (UTC) no debt suspends."),
    ] = None,
    *,
    whole_customer: Annotated[
        bool, typer.Option("--customer", help="All subscriptions of its customer.")
    ] = False,
    operator: Operator = "operator",
) -> None:
    """Agree with a customer on when a debt suspends; replaces what was agreed before."""
    if not reason.strip():
        raise typer.BadParameter("--reason must not be empty")
    if grace_days is None and not_before is None:
        raise typer.BadParameter("pass --grace-days, --not-before or both")
    day = None if not_before is None else not_before.replace(tzinfo=UTC)
    agreement = operations.Agreement(reason.strip(), grace_days, day, whole_customer)
    _change_subscription(
        subscription,
        lambda pool, id_, by: operations.agree_leniency(
            pool, id_, agreement, operator=operator, by=by
        ),
    )
    typer.echo("agreed")


@app.command()
def strict(
    subscription: Subscription,
    *,
    whole_customer: Annotated[
        bool, typer.Option("--customer", help="What was agreed for all of its customer.")
    ] = False,
) -> None:
    """Return from what was agreed to the host's rules."""
    reason = _change_subscription(
        subscription,
        lambda pool, id_, by: operations.end_leniency(
            pool, id_, whole_customer=whole_customer, by=by
        ),
    )
    typer.echo(f"no longer lenient for: {reason}")


@app.command("ignore-price")
def ignore_price(
    price: Price,
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    operator: Operator = "operator",
) -> None:
    """Declare that items at a price outside the catalogue give nothing, and are no trouble."""
    if not reason.strip():
        raise typer.BadParameter("--reason must not be empty")
    by = command_line_actor()
    checked = with_pool(
        lambda pool: operations.ignore_price(
            pool, price, reason=reason.strip(), operator=operator, by=by
        )
    )
    typer.echo(f"ignoring {price}; checking {checked} subscriptions again")


@app.command("heed-price")
def heed_price(price: Price) -> None:
    """Take `ignore-price` back."""
    by = command_line_actor()
    checked = with_pool(lambda pool: operations.heed_price(pool, price, by))
    typer.echo(f"no longer ignoring {price}; checking {checked} subscriptions again")


@app.command()
def skip(
    subscription: Subscription,
    product_type: Annotated[str, typer.Argument(help="For example: email")],
) -> None:
    """Leave one service as it is until its desired state changes or it is retried."""
    _change_subscription(
        subscription, lambda pool, id_, by: operations.skip(pool, id_, product_type, by)
    )
    typer.echo(f"skipping {product_type}")


@app.command("collect-draft")
def collect(subscription: Subscription) -> None:
    """Finalize the latest draft for a term of a subscription at Stripe, and charge the customer."""
    by = command_line_actor()

    async def run(mirror: Mirror) -> CollectedDraft:
        return await collect_draft(
            mirror, await operations.find_subscription(mirror.pool, subscription), by
        )

    done = with_mirror(run)
    typer.echo(f"{done.stripe_invoice_id} is {done.status}")


@app.command()
def revive(subscription: Subscription) -> None:
    """Bill an ended customer again, for the same tenant and accounts.

    What was paid for is not billed again. Repeated, it has no further effect.
    """
    by = command_line_actor()

    async def run(mirror: Mirror) -> Changed:
        id_ = await operations.find_subscription(mirror.pool, subscription)
        return await revival.revive(mirror, ChangeRequest(by, id_, CustomerRef()))

    revived = with_mirror(run)
    made = "revived as" if revived.changed else "it was revived before, as"
    typer.echo(f"{made} {revived.subscription.stripe_id} ({revived.subscription.id})")


@app.command()
def adopt(
    subscription: Subscription,
    tenant: Annotated[UUID, typer.Option(help="Id of the same customer's ended tenant.")],
) -> None:
    """Give a subscription the tenant and accounts, with their data, of an ended one."""
    _change_subscription(
        subscription, lambda pool, id_, by: operations.adopt(pool, id_, tenant, by)
    )
    typer.echo("joining")


@app.command()
def settled(subscription: Subscription) -> None:
    """Clear a trouble once it is settled, such as a domain that was taken."""
    _change_subscription(subscription, operations.settle_trouble)
    typer.echo("cleared")


@app.command()
def log(
    subscription: Subscription,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of calls.")] = 100,
) -> None:
    """Show the latest driver calls for a subscription."""
    for row in _of_subscription(
        subscription, lambda pool, id_: operations.list_calls(pool, id_, limit)
    ):
        error = f"  {row['error']}" if row["error"] else ""
        typer.echo(
            f"{moment_text(row['created_at'])}  {row['product_type'] or '-':<10}"
            f"  {row['action']:<9}  {row['outcome']:<12}  {row['duration_ms']:>6} ms"
            f"  {row['driver']}{error}"
        )


@app.command()
def check(
    *, fix: Annotated[bool, typer.Option("--fix", help="Repair the differences.")] = False
) -> None:
    """Compare the services' accounts with our records; exit with 1 if any differ."""
    if asyncio.run(_check(fix=fix)):
        raise typer.Exit(1)


def timeline(subscription: Subscription) -> None:
    """Show everything on record about a subscription: events, sessions, driver calls, state."""
    for row in _of_subscription(subscription, operations.list_timeline):
        detail = f": {row['detail']}" if row["detail"] else ""
        typer.echo(f"{moment_text(row['at'])}  {row['kind']:<8}  {row['what']}{detail}")


async def _check(*, fix: bool) -> int:
    """Print the differences; return how many remain."""
    settings = load_settings()
    unknown: Counter[str] = Counter()
    differing = repaired = 0
    by = command_line_actor()
    async with await create_pool(settings) as pool, open_drivers(settings) as drivers:
        async for drift in find_drift(pool, drivers):
            if isinstance(drift.found, Unknown):
                unknown[drift.found.reason] += 1
                continue
            differing += 1
            done = fix and await repair(pool, drift, by)
            repaired += done
            typer.echo(drift.describe() + (" (being repaired)" if done else ""))
    for reason, count in unknown.most_common():
        typer.echo(f"{count} not checked: {reason}")
    typer.echo(f"{differing} differ, {repaired} being repaired")
    return differing - repaired


def _of_subscription(name: str, do: Callable[[Pool, UUID], Awaitable[T]]) -> T:
    async def run(pool: Pool) -> T:
        return await do(pool, await operations.find_subscription(pool, name))

    return with_pool(run)


def _change_subscription(name: str, do: Callable[[Pool, UUID, Actor], Awaitable[T]]) -> T:
    """Run an action that is recorded in the audit log."""
    by = command_line_actor()
    return _of_subscription(name, lambda pool, id_: do(pool, id_, by))


def _stuck_line(row: asyncpg.Record) -> str:
    wake_at = row["wake_at"]
    when = (
        f"next try {moment_text(wake_at)}"
        if wake_at and row["unfinished"]
        else "waits for an operator"
    )
    return (
        f"{row['subscription_id']}  {row['status']:<9}  {row['domain'] or '-'}  {row['error']}"
        f" ({row['attempts']} attempts, {when})"
    )


def _service_line(row: asyncpg.Record) -> str:
    notes: Sequence[str | None] = (
        f"{row['pending_action']} is pending" if row["pending_action"] else None,
        row["stopped"],
        f"suspended by the service itself: {row['suspended_by_service']}"
        if row["suspended_by_service"]
        else None,
        row["last_error"],
        f"next try {moment_text(row['next_attempt_at'])}" if row["next_attempt_at"] else None,
    )
    return "  ".join(
        [
            f"{row['product_type']:<10}  {row['actual']:<10} -> {row['desired']:<10}",
            f"{row['driver']}:{row['external_ref'] or '-'}",
            *(note for note in notes if note),
        ]
    )


def _leniency_line(row: asyncpg.Record) -> str:
    agreed: Sequence[str | None] = (
        f"{row['grace_days']} days of grace" if row["grace_days"] is not None else None,
        f"no suspension before {moment_text(row['not_before'])}" if row["not_before"] else None,
    )
    scope = "customer" if row["whole_customer"] else "subscription"
    return (
        f"lenient with the {scope}: {', '.join(each for each in agreed if each)}"
        f" (by {row['set_by']}: {row['reason']})"
    )
