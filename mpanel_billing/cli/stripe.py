"""`mpanel-billing stripe endpoint`: the webhook endpoint that Stripe sends our events to."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import typer

from mpanel_billing.access.actor import command_line_actor
from mpanel_billing.database.pool import create_pool
from mpanel_billing.settings import StripeSettings, load_database_settings, load_stripe_settings
from mpanel_billing.stripe_gateway.gateway import API_VERSION, open_gateway
from mpanel_billing.stripe_gateway.webhook_endpoints import WebhookEndpoint, list_webhook_endpoints
from mpanel_billing.webhooks.endpoint import (
    Ensured,
    Plan,
    carry_out,
    check_endpoint_url,
    look_at_endpoints,
)

app = typer.Typer(help="What our account at Stripe needs.", no_args_is_help=True)
endpoint = typer.Typer(help="The webhook endpoint that leads here.", no_args_is_help=True)
app.add_typer(endpoint, name="endpoint")

_CHANGES_NEEDED = 2


@endpoint.command()
def ensure(
    *,
    url: Annotated[
        str, typer.Option(help="https://<your host>; the path is added where there is none.")
    ],
    remove_old: Annotated[
        bool,
        typer.Option(
            "--remove-old", help="Delete endpoints of other API versions at this address."
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Only say what would be done; exit code 2: something."),
    ] = False,
) -> None:
    """Make or correct the endpoint: our API version, exactly our events, switched on.

    Safe to repeat. Of a new endpoint the signing secret is printed, this once.
    """
    settings = load_stripe_settings()
    address = check_endpoint_url(
        url, livemode=settings.livemode, public=settings.stripe_api_base is None
    )
    if dry_run:
        _print_plan(asyncio.run(_look(settings, address)), remove_old=remove_old)
    else:
        asyncio.run(_ensure(settings, address, remove_old=remove_old))


@endpoint.command("list")
def list_() -> None:
    """List every endpoint of the account in this mode."""
    found = asyncio.run(_list(load_stripe_settings()))
    for one in found:
        state = "enabled" if one.enabled else "disabled"
        version = one.api_version or "the account's version"
        typer.echo(f"{one.id}  {state:<8}  {version:<22}  {len(one.events):>3} events  {one.url}")
    if not found:
        typer.echo("no endpoints")


async def _look(settings: StripeSettings, address: str) -> Plan:
    async with open_gateway(settings) as gateway:
        return await look_at_endpoints(gateway, address)


async def _list(settings: StripeSettings) -> Sequence[WebhookEndpoint]:
    async with open_gateway(settings) as gateway:
        return await list_webhook_endpoints(gateway)


async def _ensure(settings: StripeSettings, address: str, *, remove_old: bool) -> None:
    async with (
        open_gateway(settings) as gateway,
        await create_pool(load_database_settings()) as pool,
    ):
        plan = await look_at_endpoints(gateway, address)
        by = command_line_actor()
        ensured = await carry_out(pool, gateway, plan, remove_old=remove_old, by=by)
    _print_done(plan, ensured)
    _print_rest(plan, ensured)


def _print_plan(plan: Plan, *, remove_old: bool) -> None:
    """Say what is to be done; exit code 2 if that is anything."""
    steps = []
    if plan.current is None:
        steps.append(f"would make an endpoint for {plan.url}, API version {API_VERSION}")
    elif plan.faults:
        steps.append(f"would correct {plan.current.id}: {'; '.join(plan.faults)}")
    if remove_old and plan.current is not None:
        steps += [f"would delete {old.id} ({_version_of(old)})" for old in plan.outdated]
    for step in steps or [f"{plan.url} is as it should be"]:
        typer.echo(step)
    if steps:
        raise typer.Exit(_CHANGES_NEEDED)


def _print_done(plan: Plan, ensured: Ensured) -> None:
    one = ensured.endpoint
    verb = "made" if ensured.secret else "corrected" if plan.faults else "is as it should be:"
    typer.echo(f"{verb} {one.id}, {one.url}, API version {one.api_version}")
    for fault in plan.faults:
        typer.echo(f"  {fault}: mended")
    for id_ in ensured.removed:
        typer.echo(f"deleted {id_}")
    if ensured.secret:
        _print_secret(ensured.secret, rolling=bool(plan.outdated))


def _print_secret(secret: str, *, rolling: bool) -> None:
    """Print what Stripe tells only once, and what to do with it."""
    typer.echo("")
    if rolling:
        typer.echo("Accept both secrets while both endpoints are there. In .env:")
        typer.echo(f"STRIPE_WEBHOOK_SECRET=<the one that is there now>,{secret}")
    else:
        typer.echo("Its signing secret is told only now. In .env:")
        typer.echo(f"STRIPE_WEBHOOK_SECRET={secret}")
    typer.echo("Then restart the service: pm2 reload tenant-billing")


def _print_rest(plan: Plan, ensured: Ensured) -> None:
    """Say what is left for a person to do."""
    left = [old for old in plan.outdated if old.id not in ensured.removed]
    for old in left:
        typer.echo(f"{old.id} is still there, with {_version_of(old)}.")
    if left:
        typer.echo("Once the service knows the new secret, run this again with --remove-old;")
        typer.echo("then take the old secret out of STRIPE_WEBHOOK_SECRET.")
    if ensured.removed:
        typer.echo("Take the old secret out of STRIPE_WEBHOOK_SECRET.")
    for double in plan.doubles:
        typer.echo(
            f"{double.id} is the same once more: delete the one whose secret "
            "STRIPE_WEBHOOK_SECRET does not have, in Stripe's dashboard."
        )


def _version_of(old: WebhookEndpoint) -> str:
    return f"API version {old.api_version}" if old.api_version else "the account's API version"
