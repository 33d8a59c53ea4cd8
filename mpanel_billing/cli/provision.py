"""`mpanel-billing provision`: inspect provisioning, and get it unstuck."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import asyncpg
import typer

from mpanel_billing.access.audit import Actor, command_line_actor
from mpanel_billing.cli import after_end, decisions, servers
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.options import Subscription, change_subscription, of_subscription
from mpanel_billing.cli.output import moment_text, print_line
from mpanel_billing.database.pool import Pool, create_pool, transaction
from mpanel_billing.encryption import Vault
from mpanel_billing.provisioning import leniency, operations
from mpanel_billing.settings import load_settings

app = typer.Typer(help="Inspect provisioning, and get it unstuck.", no_args_is_help=True)
app.add_typer(decisions.app)
app.add_typer(after_end.app)
app.add_typer(servers.app)


@app.command("list")
def list_() -> None:
    """List stuck subscriptions, and those suspended by an operator."""
    stuck = with_pool(operations.list_all_stuck)
    holds = with_pool(operations.list_holds)
    for row in stuck:
        print_line(_stuck_line(row))
    for row in holds:
        print_line(
            f"{row['subscription_id']}  suspended by {row['placed_by']}"
            f" since {moment_text(row['placed_at'])}: {row['reason']}"
        )
    if not stuck and not holds:
        typer.echo("nothing is stuck or suspended by an operator")


@app.command()
def show(subscription: Subscription) -> None:
    """Show the actual and the desired state of a subscription's services, and what was agreed."""
    for row in of_subscription(subscription, operations.list_services):
        print_line(_service_line(row))
    for row in of_subscription(subscription, leniency.list_leniency):
        print_line(_leniency_line(row))


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
    change_subscription(subscription, operations.retry)
    typer.echo("retrying")


@app.command()
def skip(
    subscription: Subscription,
    product_type: Annotated[str, typer.Argument(help="For example: email")],
) -> None:
    """Leave one service as it is until its desired state changes or it is retried."""
    change_subscription(
        subscription, lambda pool, id_, by: operations.skip(pool, id_, product_type, by)
    )
    typer.echo(f"skipping {product_type}")


@app.command()
def settled(subscription: Subscription) -> None:
    """Clear a trouble once it is settled, such as a domain that was taken."""
    change_subscription(subscription, operations.settle_trouble)
    typer.echo("cleared")


@app.command()
def log(
    subscription: Subscription,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number of calls.")] = 100,
) -> None:
    """Show the latest driver calls for a subscription."""
    for row in of_subscription(
        subscription, lambda pool, id_: operations.list_calls(pool, id_, limit)
    ):
        error = f"  {row['error']}" if row["error"] else ""
        print_line(
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


@app.command("access-data")
def access_data(
    subscription: Subscription,
    product_type: Annotated[str, typer.Argument(metavar="TYPE", help="For example: hosting")],
) -> None:
    """Print the access data of a new account, and forget it: it is handed out once."""
    # loading the drivers takes longer than most commands
    from mpanel_billing.provisioning.access_data import hand_out  # noqa: PLC0415

    vault = Vault(load_settings().encryption_keys)

    async def print_once(pool: Pool, id_: UUID, by: Actor) -> None:
        async with transaction(pool) as conn:
            data = await hand_out(conn, vault, id_, product_type, by)
        for name, value in asdict(data).items():
            if value is not None:
                print_line(f"{name.replace('_', ' ')}: {value}")

    change_subscription(subscription, print_once)


def timeline(subscription: Subscription) -> None:
    """Show all on record about a subscription: events, sessions, calls, state."""
    for entry in of_subscription(subscription, operations.list_timeline):
        detail = f": {entry.detail}" if entry.detail else ""
        print_line(f"{moment_text(entry.at)}  {entry.kind:<8}  {entry.what}{detail}")


async def _check(*, fix: bool) -> int:
    """Print the differences; return how many remain."""
    # loading the drivers takes longer than most commands
    from mpanel_billing.provisioning.drift import find_drift, repair  # noqa: PLC0415
    from mpanel_billing.provisioning.drivers.protocol import Unknown  # noqa: PLC0415
    from mpanel_billing.provisioning.drivers.registry import open_drivers  # noqa: PLC0415

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
            print_line(drift.describe() + (" (being repaired)" if done else ""))
    for reason, count in unknown.most_common():
        print_line(f"{count} not checked: {reason}")
    typer.echo(f"{differing} differ, {repaired} being repaired")
    return differing - repaired


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
            f"{row['server'] or row['driver']}:{row['external_ref'] or '-'}",
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
