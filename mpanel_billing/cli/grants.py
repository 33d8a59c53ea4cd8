"""`mpanel-billing database`: what the roles of the processes may do in the database."""

from typing import Annotated

import typer

from mpanel_billing.database.grants import grants as grants_sql
from mpanel_billing.database.privileges import RUNTIME, Process

app = typer.Typer(help="Roles of the database.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def grants(
    owner: Annotated[str, typer.Option(help="The role of `migrate up`, which owns the tables.")],
    runtime: Annotated[str, typer.Option(help="The role of DATABASE_URL; it exists already.")],
    *,
    web_only: Annotated[
        bool, typer.Option("--web-only", help="The role runs web processes only.")
    ] = False,
    commands: Annotated[
        bool, typer.Option("--commands", help="The role runs the operator's commands, too.")
    ] = False,
    keys: Annotated[
        bool, typer.Option("--keys", help="The role's console may make and revoke API keys.")
    ] = False,
    add_only: Annotated[
        bool,
        typer.Option("--add-only", help="Take nothing away: while an older release still runs."),
    ] = False,
) -> None:
    """Print SQL that lets a role do what it needs, and nothing else; for psql, as the owner.

    It takes away all that the role was granted in the schema public before. It may run again.
    """
    processes = (Process.WEB,) if web_only else RUNTIME
    if commands:
        processes = (*processes, Process.COMMANDS)
    if keys:
        processes = (*processes, Process.KEYS)
    typer.echo(grants_sql(owner, runtime, processes, add_only=add_only), nl=False)
