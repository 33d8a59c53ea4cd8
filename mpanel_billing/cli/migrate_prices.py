"""`mpanel-billing catalog migrate-prices`: another price for those who have a product already."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.output import print_line
from mpanel_billing.money import format_money

if TYPE_CHECKING:  # what calls Stripe loads its SDK, which takes longer than most commands
    from mpanel_billing.subscriptions.price_announcements import Announced, PriceMigration

PriceName = "Stripe's id (price_...), or ours."


def migrate_prices(
    *,
    product: Annotated[str, typer.Option(help="Code of the plan or add-on.")],
    old: Annotated[str, typer.Option("--from", help=PriceName)],
    new: Annotated[str, typer.Option("--to", help=PriceName)],
    starts_on: Annotated[
        datetime, typer.Option("--on", formats=["%Y-%m-%d"], help="No renewal before has it (UTC).")
    ],
    notice: Annotated[int, typer.Option(min=0, max=730, help="Days of notice for each customer.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show whom it concerns, and its effect on MRR.")
    ] = False,
    untold: Annotated[
        bool, typer.Option("--untold", help="Also if no receiver gets price.changing.")
    ] = False,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Call off what is announced and not made yet.")
    ] = False,
) -> None:
    """Give those who have a price another one, from their own renewal after their own notice.

    Safe to repeat: it goes on with those who were not told yet. Negotiated prices, subscriptions
    that end and planned changes are left alone.
    """
    from mpanel_billing.subscriptions import price_announcements  # noqa: PLC0415 - see above

    wanted = price_announcements.PriceMigration(
        product, old, new, starts_on.replace(tzinfo=UTC), notice
    )
    if withdraw:
        _withdraw(wanted)
    elif dry_run:
        found = with_pool(lambda pool: price_announcements.preview_migration(pool, wanted))
        _print(found, wanted, "would change")
        typer.echo("nothing was changed")
    else:
        _announce(wanted, untold=untold)


def _withdraw(wanted: "PriceMigration") -> None:
    from mpanel_billing.subscriptions.price_announcements import withdraw_migration  # noqa: PLC0415

    by = command_line_actor()
    count, under_way = with_pool(lambda pool: withdraw_migration(pool, wanted, by))
    typer.echo(f"called off for {count} subscriptions")
    if under_way:
        typer.echo(f"under way, and not called off: {under_way}")


def _announce(wanted: "PriceMigration", *, untold: bool) -> None:
    from mpanel_billing.subscriptions.price_announcements import announce_migration  # noqa: PLC0415

    by = command_line_actor()
    done = with_pool(lambda pool: announce_migration(pool, wanted, by, untold=untold, show=_show))
    _print(done, wanted, "told")


def _show(count: int) -> None:
    typer.echo(f"{count} announced", err=True)


def _print(found: "Announced", wanted: "PriceMigration", done: str) -> None:
    old, new = found.old, found.new
    amounts = (format_money(price.unit_amount, price.currency) for price in (old, new))
    print_line(f"{wanted.product} {old.billing_cycle}: {' -> '.join(amounts)}")
    when = f", from {found.first_at:%Y-%m-%d} to {found.last_at:%Y-%m-%d}" if found.first_at else ""
    print_line(f"{found.subscriptions} subscriptions {done}{when}")
    if found.revenue:
        before, after = (round(each) for each in found.revenue)
        print_line(
            f"their monthly recurring revenue: {format_money(before, old.currency)}"
            f" -> {format_money(after, old.currency)}"
        )
    for why, count in found.left.items():
        print_line(f"left alone, {why}: {count}")
