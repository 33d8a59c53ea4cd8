"""`mpanel-billing stripe portal`: what customers may do in Stripe's customer portal."""

import asyncio
from typing import Annotated

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.database.pool import create_pool
from mpanel_billing.settings import StripeSettings, load_database_settings, load_stripe_settings
from mpanel_billing.stripe_gateway.gateway import open_gateway
from mpanel_billing.stripe_gateway.portal_configurations import PortalConfiguration
from mpanel_billing.subscriptions.portal_configuration import (
    PortalChanges,
    find_changes,
    make_changes,
)

portal = typer.Typer(help="The customer portal of this service.", no_args_is_help=True)

_CHANGES_NEEDED = 2


@portal.command()
def ensure(
    *,
    cancel: Annotated[
        bool,
        typer.Option(
            "--cancel/--no-cancel", help="Whether customers may cancel there, at the end of a term."
        ),
    ] = True,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only print what would change; exit code 2 if not empty."),
    ] = False,
) -> None:
    """Create or correct our configuration: cards, addresses, invoices; no change of plan.

    Safe to repeat. Prints its id for STRIPE_PORTAL_CONFIGURATION.
    """
    settings = load_stripe_settings()
    if dry_run:
        _print_changes(asyncio.run(_find(settings, can_cancel=cancel)))
    else:
        _print_done(settings, *asyncio.run(_ensure(settings, can_cancel=cancel)))


async def _find(settings: StripeSettings, *, can_cancel: bool) -> PortalChanges:
    async with open_gateway(settings) as gateway:
        return await find_changes(gateway, can_cancel=can_cancel)


async def _ensure(
    settings: StripeSettings, *, can_cancel: bool
) -> tuple[PortalChanges, PortalConfiguration]:
    async with (
        open_gateway(settings) as gateway,
        await create_pool(load_database_settings()) as pool,
    ):
        changes = await find_changes(gateway, can_cancel=can_cancel)
        return changes, await make_changes(pool, gateway, changes, command_line_actor())


def _print_changes(changes: PortalChanges) -> None:
    """Print what would change; exit code 2 if anything would."""
    if changes.current is None:
        typer.echo("would create a configuration of the customer portal")
        raise typer.Exit(_CHANGES_NEEDED)
    for fault in changes.faults:
        typer.echo(f"would correct {changes.current.id}: {fault}")
    if changes.faults:
        raise typer.Exit(_CHANGES_NEEDED)
    typer.echo(f"{changes.current.id} needs no change")


def _print_done(
    settings: StripeSettings, changes: PortalChanges, ensured: PortalConfiguration
) -> None:
    verb = "created" if changes.current is None else "corrected" if changes.faults else "no change:"
    typer.echo(f"{verb} {ensured.id}")
    for fault in changes.faults:
        typer.echo(f"  {fault}: corrected")
    if settings.stripe_portal_configuration != ensured.id:
        typer.echo("")
        typer.echo("In .env, so that the portal opens with it:")
        typer.echo(f"STRIPE_PORTAL_CONFIGURATION={ensured.id}")
        typer.echo("Then restart the service: pm2 reload tenant-billing")
