"""`mpanel-billing stripe`: the webhook endpoint and the customer portal at Stripe."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.cli.output import print_line
from mpanel_billing.cli.stripe_portal import portal
from mpanel_billing.database.pool import create_pool
from mpanel_billing.settings import StripeSettings, load_database_settings, load_stripe_settings
from mpanel_billing.stripe_gateway.gateway import API_VERSION, open_gateway
from mpanel_billing.stripe_gateway.webhook_endpoints import WebhookEndpoint, list_webhook_endpoints
from mpanel_billing.webhooks.endpoint import (
    EndpointChanges,
    EnsuredEndpoint,
    check_endpoint_url,
    find_changes,
    make_changes,
)

app = typer.Typer(help="Set up the Stripe account.", no_args_is_help=True)
endpoint = typer.Typer(help="The webhook endpoint of this service.", no_args_is_help=True)
app.add_typer(endpoint, name="endpoint")
app.add_typer(portal, name="portal")

_CHANGES_NEEDED = 2


@endpoint.command()
def ensure(
    *,
    url: Annotated[
        str, typer.Option(help="https://<your host>; the path is added if it is missing.")
    ],
    remove_old: Annotated[
        bool,
        typer.Option(
            "--remove-old", help="Delete endpoints of other API versions at this address."
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only print what would change; exit code 2 if not empty."),
    ] = False,
) -> None:
    """Create or correct the endpoint: our API version, exactly our events, enabled.

    Safe to repeat. The signing secret of a new endpoint is printed only once.
    """
    settings = load_stripe_settings()
    address = check_endpoint_url(
        url, livemode=settings.livemode, public=settings.stripe_api_base is None
    )
    if dry_run:
        _print_changes(asyncio.run(_find(settings, address)), remove_old=remove_old)
    else:
        asyncio.run(_ensure(settings, address, remove_old=remove_old))


@endpoint.command("list")
def list_() -> None:
    """List all endpoints of the account in the mode of the key."""
    found = asyncio.run(_list(load_stripe_settings()))
    for one in found:
        state = "enabled" if one.enabled else "disabled"
        version = one.api_version or "the account's version"
        print_line(f"{one.id}  {state:<8}  {version:<22}  {len(one.events):>3} events  {one.url}")
    if not found:
        typer.echo("no endpoints")


async def _find(settings: StripeSettings, address: str) -> EndpointChanges:
    async with open_gateway(settings) as gateway:
        return await find_changes(gateway, address)


async def _list(settings: StripeSettings) -> Sequence[WebhookEndpoint]:
    async with open_gateway(settings) as gateway:
        return await list_webhook_endpoints(gateway)


async def _ensure(settings: StripeSettings, address: str, *, remove_old: bool) -> None:
    async with (
        open_gateway(settings) as gateway,
        await create_pool(load_database_settings()) as pool,
    ):
        changes = await find_changes(gateway, address)
        by = command_line_actor()
        ensured = await make_changes(pool, gateway, changes, remove_old=remove_old, by=by)
    _print_done(changes, ensured)
    _print_rest(changes, ensured)


def _print_changes(changes: EndpointChanges, *, remove_old: bool) -> None:
    """Print what would change; exit code 2 if anything would."""
    steps = []
    if changes.current is None:
        steps.append(f"would create an endpoint for {changes.url}, API version {API_VERSION}")
    elif changes.faults:
        steps.append(f"would correct {changes.current.id}: {'; '.join(changes.faults)}")
    if remove_old and changes.current is not None:
        steps += [f"would delete {old.id} ({_version_of(old)})" for old in changes.outdated]
    for step in steps or [f"{changes.url} needs no change"]:
        typer.echo(step)
    if steps:
        raise typer.Exit(_CHANGES_NEEDED)


def _print_done(changes: EndpointChanges, ensured: EnsuredEndpoint) -> None:
    one = ensured.endpoint
    verb = "created" if ensured.secret else "corrected" if changes.faults else "no change:"
    typer.echo(f"{verb} {one.id}, {one.url}, API version {one.api_version}")
    for fault in changes.faults:
        typer.echo(f"  {fault}: corrected")
    for id_ in ensured.removed:
        typer.echo(f"deleted {id_}")
    if ensured.secret:
        _print_secret(ensured.secret, rolling=bool(changes.outdated))


def _print_secret(secret: str, *, rolling: bool) -> None:
    """Print the signing secret, and what to do with it."""
    typer.echo("")
    if rolling:
        typer.echo("Accept both secrets while both endpoints exist. In .env:")
        typer.echo(f"STRIPE_WEBHOOK_SECRET=<the one that is there now>,{secret}")
    else:
        typer.echo("Its signing secret is shown only once. In .env:")
        typer.echo(f"STRIPE_WEBHOOK_SECRET={secret}")
    typer.echo("Then restart the service: pm2 reload tenant-billing")


def _print_rest(changes: EndpointChanges, ensured: EnsuredEndpoint) -> None:
    """Print what is left for the operator to do."""
    left = [old for old in changes.outdated if old.id not in ensured.removed]
    for old in left:
        typer.echo(f"{old.id} is still there, with {_version_of(old)}.")
    if left:
        typer.echo("Once the service has the new secret, run this again with --remove-old;")
        typer.echo("then remove the old secret from STRIPE_WEBHOOK_SECRET.")
    if ensured.removed:
        typer.echo("Remove the old secret from STRIPE_WEBHOOK_SECRET.")
    for duplicate in changes.duplicates:
        typer.echo(
            f"{duplicate.id} is a duplicate: delete the one whose secret "
            "is not in STRIPE_WEBHOOK_SECRET, in Stripe's dashboard."
        )


def _version_of(old: WebhookEndpoint) -> str:
    return f"API version {old.api_version}" if old.api_version else "the account's API version"
