"""`mpanel-billing catalog`: from the catalogue file to the database to Stripe."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from mpanel_billing.access.audit import command_line_actor
from mpanel_billing.catalogue.edit import CatalogueEdit
from mpanel_billing.catalogue.file import CatalogueFileError, read_catalogue_file
from mpanel_billing.catalogue.overview import catalogue_json, catalogue_table
from mpanel_billing.catalogue.push import Pushed, push_catalogue
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.catalogue.service import (
    AppliedCatalogue,
    Changes,
    apply_catalogue,
    preview_catalogue,
    read_catalogue,
)
from mpanel_billing.catalogue.sums import list_unsold
from mpanel_billing.cli.database import with_pool
from mpanel_billing.cli.migrate_prices import migrate_prices
from mpanel_billing.cli.output import print_line
from mpanel_billing.database.pool import create_pool
from mpanel_billing.errors import BillingError
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.settings import Settings, load_catalogue_settings, load_settings

app = typer.Typer(
    help="The catalogue: check its file, apply it to the database, push it to Stripe.",
    no_args_is_help=True,
)
app.command("migrate-prices")(migrate_prices)

NamedFile = Annotated[
    Path | None,
    typer.Argument(
        metavar="[FILE]",
        help="A catalogue file (TOML); by default CATALOGUE_FILE, else the one we ship.",
        show_default=False,
    ),
]


class UnconfirmedError(BillingError):
    """An edit may be a mistake, and there is no one to ask."""

    code = "unconfirmed"


@app.command()
def check(file: NamedFile = None) -> None:
    """Report each problem in a catalogue file by line and field; exit with 1 if there is any."""
    path = file or _default_file()
    try:
        found = read_catalogue_file(path)
    except CatalogueFileError as error:
        # not prefixed with the program's name, so that editors can jump to FILE:LINE
        typer.echo(error.message, err=True)
        raise typer.Exit(1) from None
    typer.echo(
        f"{path}: {len(found.plans)} plans, {len(found.addons)} add-ons, "
        f"{len(found.domains)} domains, {len(found.fees)} fees, {len(found.coupons)} coupons: ok"
    )
    for currency, unsold in list_unsold(found).items():
        missing = ", ".join(unsold)
        print_line(f"in {currency}: {f'all but {missing}' if unsold else 'everything'}")


@app.command()
def apply(
    file: NamedFile = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only print what would change, old -> new.")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="Do not ask, whatever changes; for scripts.")
    ] = False,
) -> None:
    """Make the database sell exactly what the file says; safe to repeat.

    It asks first if more than a tenth of the prices change, or one by more than half.
    """
    wanted = read_catalogue_file(file or _default_file())
    edit = with_pool(lambda pool: preview_catalogue(pool, wanted))
    if dry_run:
        _print_preview(edit)
        return
    if edit.doubts and not yes:
        _confirm(edit)
    _print_applied(_apply(wanted, edit), edit)


def _default_file() -> Path:
    return load_catalogue_settings().catalogue_file or DEFAULT_CATALOGUE


def _print_preview(edit: CatalogueEdit) -> None:
    for change in edit.prices:
        print_line(f"price {change}")
    for sentence in (*edit.others, *edit.added):
        print_line(sentence)
    for doubt in edit.doubts:
        print_line(f"apply would ask: {doubt}")
    typer.echo("nothing was changed")


def _confirm(edit: CatalogueEdit) -> None:
    """Ask on a terminal; UnconfirmedError elsewhere."""
    reasons = "; ".join(edit.doubts)
    if not sys.stdin.isatty():
        raise UnconfirmedError(
            f"nothing was applied, because it may be a mistake: {reasons}. "
            "See it with --dry-run; if it is right, apply it with --yes"
        )
    for doubt in edit.doubts:
        print_line(doubt)
    typer.confirm("Apply it?", abort=True)


def _print_applied(applied: AppliedCatalogue, edit: CatalogueEdit) -> None:
    for name in ("products", "prices", "coupons"):
        changes: Changes = getattr(applied, name)
        typer.echo(
            f"{name}: {len(changes.created)} created, {len(changes.changed)} changed, "
            f"{len(changes.retired)} retired, {changes.unchanged} unchanged"
        )
    for change in edit.prices:
        if change.old is not None:
            print_line(f"  price {change}")
    for sentence in edit.others:
        print_line(f"  {sentence}")


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


def _apply(file: CatalogueFile, edit: CatalogueEdit) -> AppliedCatalogue:
    by = command_line_actor()
    return with_pool(lambda pool: apply_catalogue(pool, file, by=by, expected=edit))


async def _push(settings: Settings) -> Pushed:
    # loading the SDK takes longer than the other commands
    from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue  # noqa: PLC0415
    from mpanel_billing.stripe_gateway.gateway import open_gateway  # noqa: PLC0415

    async with (
        open_gateway(settings) as gateway,
        await create_pool(settings.without_pgbouncer()) as pool,
    ):
        return await push_catalogue(
            pool, StripeCatalogue(gateway.client), settings.livemode, by=command_line_actor()
        )
