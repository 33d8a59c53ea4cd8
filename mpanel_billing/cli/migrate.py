"""`mpanel-billing migrate`: the schema of the database in DATABASE_URL."""

import asyncio
from typing import Annotated

import typer

from mpanel_billing.cli.database import with_pool
from mpanel_billing.database import migrations
from mpanel_billing.database.privileges import listed
from mpanel_billing.database.runtime_roles import list_lacking
from mpanel_billing.settings import load_database_settings

app = typer.Typer(help="Bring the database's schema up to date.", no_args_is_help=True)


@app.command()
def up() -> None:
    """Apply pending migrations, changed views and routines; safe on several machines at once.

    Names the roles that lack a right which this release needs.
    """
    applied = asyncio.run(migrations.migrate(_database_url()))
    for file in applied:
        typer.echo(f"applied {file}")
    if not applied:
        typer.echo(f"nothing to do, the schema is at {migrations.expected_version()}")
    for role in with_pool(list_lacking):
        typer.echo(
            f"the role {role.name} lacks {'; '.join(listed(role.missing))}: run what "
            "`mpanel-billing database grants` prints (docs/deployment.md)"
        )


@app.command()
def down() -> None:
    """Undo the latest migration, one step; drops views and routines until the next `up`."""
    typer.echo(f"rolled back {asyncio.run(migrations.rollback(_database_url()))}")


@app.command()
def status() -> None:
    """List all migrations and whether they are applied."""
    found = asyncio.run(migrations.status(_database_url()))
    for migration in found:
        typer.echo(f"[{'x' if migration.applied else ' '}] {migration.file}")
    typer.echo(f"{sum(not migration.applied for migration in found)} pending")


@app.command()
def new(name: Annotated[str, typer.Argument(help="For example: add_order_notes")]) -> None:
    """Create an empty migration file in prisma/migrations."""
    typer.echo(asyncio.run(migrations.new(name)))


def _database_url() -> str:
    return load_database_settings().direct_url
