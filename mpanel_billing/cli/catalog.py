"""`mpanel-billing catalog`: from the catalogue file to the database to Stripe."""

import asyncio
import json
from pathlib import Path
from typing import Annotated

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.catalogue.file import CatalogueFileError, read_catalogue_file
from mpanel_billing.catalogue.overview import catalogue_json, catalogue_table
from mpanel_billing.catalogue.push import Pushed, push_catalogue
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.catalogue.service import (
    AppliedCatalogue,
    Changes,
    apply_catalogue,
    read_catalogue,
)
from mpanel_billing.cli.database import with_pool
from mpanel_billing.database.pool import create_pool
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.settings import Settings, load_settings
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import open_gateway

app = typer.Typer(
    help="The catalogue: check its file, apply it to the database, push it to Stripe.",
    no_args_is_help=True,
)


@app.command()
def check(file: Annotated[Path, typer.Argument(help="A catalogue file (TOML).")]) -> None:
    """Report each problem in a catalogue file by line and field; exit with 1 if there is any."""
    try:
        found = read_catalogue_file(file)
    except CatalogueFileError as error:
        # not prefixed with the program's name, so that editors can jump to FILE:LINE
        typer.echo(error.message, err=True)
        raise typer.Exit(1) from None
    typer.echo(
        f"{file}: {len(found.plans)} plans, {len(found.addons)} add-ons, "
        f"{len(found.domains)} domains, {len(found.fees)} fees, {len(found.coupons)} coupons: ok"
    )


@app.command()
def apply(
    file: Annotated[
        Path, typer.Argument(help="A catalogue file; by default the one we ship.")
    ] = DEFAULT_CATALOGUE,
) -> None:
    """Make the database sell exactly what the file says; safe to repeat."""
    applied = _apply(read_catalogue_file(file))
    for name in ("products", "prices", "coupons"):
        changes: Changes = getattr(applied, name)
        typer.echo(
            f"{name}: {len(changes.created)} created, {len(changes.changed)} changed, "
            f"{len(changes.retired)} retired, {changes.unchanged} unchanged"
        )
        for verb in ("changed", "retired"):
            for key in getattr(changes, verb):
                typer.echo(f"  {verb} {key}")


@app.command()
def push() -> None:
    """Make Stripe offer what the database sells, and store its ids; safe to repeat."""
    pushed = asyncio.run(_push(load_settings()))
    typer.echo(
        f"stripe: {len(pushed.created)} created, {len(pushed.updated)} updated, "
        f"{len(pushed.retired)} retired"
    )


@app.command()
def show(
    *,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, amounts in minor units.")
    ] = False,
    live: Annotated[bool, typer.Option("--live", help="Show the Stripe ids of live mode.")] = False,
) -> None:
    """Show what the database sells."""
    catalogue = with_pool(lambda pool: read_catalogue(pool, livemode=live))
    if as_json:
        typer.echo(json.dumps(catalogue_json(catalogue), indent=2, ensure_ascii=False))
    else:
        typer.echo(catalogue_table(catalogue))


def _apply(file: CatalogueFile) -> AppliedCatalogue:
    by = command_line_actor()
    return with_pool(lambda pool: apply_catalogue(pool, file, by=by))


async def _push(settings: Settings) -> Pushed:
    async with (
        open_gateway(settings) as gateway,
        await create_pool(settings.without_pgbouncer()) as pool,
    ):
        return await push_catalogue(
            pool, StripeCatalogue(gateway.client), settings.livemode, by=command_line_actor()
        )
