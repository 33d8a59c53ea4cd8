"""The command line, `mpanel-billing`."""

import sys

import typer

from mpanel_billing import __version__
from mpanel_billing.cli import catalog, events, migrate, provision
from mpanel_billing.cli.dev import dev
from mpanel_billing.cli.sandbox import sandbox
from mpanel_billing.cli.serve import serve
from mpanel_billing.cli.worker import worker
from mpanel_billing.errors import BillingError

app = typer.Typer(
    help="Sell hosting plans through Stripe, mirror it in PostgreSQL, provision tenants.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.command()(dev)
app.command()(sandbox)
app.command()(serve)
app.command()(worker)
app.add_typer(migrate.app, name="migrate")
app.add_typer(catalog.app, name="catalog")
app.add_typer(events.app, name="events")
app.add_typer(provision.app, name="provision")
app.command()(provision.timeline)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _root(
    *,
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command; an error of ours is one line on stderr and exit code 1."""
    try:
        app()
    except BillingError as error:
        sys.stderr.write(f"mpanel-billing: {error}\n")
        sys.exit(1)
