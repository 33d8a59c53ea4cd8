"""The commands, as typer parses and runs them."""

from collections.abc import Sequence
from importlib import import_module

import typer

from mpanel_billing import __version__
from mpanel_billing.cli import ABOUT, COMMANDS

_PASSED_ON = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}
_CONTEXT_SETTINGS = {"sandbox": _PASSED_ON}
"""Commands whose options another program declares."""


def build_app(arguments: Sequence[str]) -> typer.Typer:
    """Return the program for these arguments.

    If they begin with a command, only its module is loaded: loading all takes half a second, which
    `dev` would pay for each process that it starts.
    """
    app = typer.Typer(
        help=ABOUT,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        add_completion=False,
    )
    app.callback()(_root)
    named = arguments[0] if arguments else ""
    for name in [named] if named in COMMANDS else COMMANDS:
        _add(app, name)
    return app


def _add(app: typer.Typer, name: str) -> None:
    module, _, attribute = COMMANDS[name].partition(":")
    command = getattr(import_module(module), attribute)
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name)
    else:
        app.command(name, context_settings=_CONTEXT_SETTINGS.get(name))(command)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


def _root(
    *,
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    pass
