"""The program behind the command line: its commands, and its errors as sentences."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import asyncpg
import typer

from mpanel_billing import __version__
from mpanel_billing.cli import ABOUT, COMMANDS, WRONG_SETTINGS
from mpanel_billing.errors import (
    BillingError,
    DatabaseUnavailableError,
    SettingsError,
    StripeUnavailableError,
)
from mpanel_billing.telemetry.quoting import several_lines

_SCHEMA_ERRORS = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
)
"""Errors of a database whose schema is missing or outdated."""


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


def run(arguments: Sequence[str]) -> None:
    """Run the command; an error that an operator can fix is one line on stderr.

    The exit status is 1 then, or WRONG_SETTINGS.
    """
    if not all(map(_is_text, arguments)):
        _fail("an argument is not valid UTF-8")
    try:
        build_app(arguments)()
    except SettingsError as error:
        _fail(str(error), WRONG_SETTINGS)
    except BillingError as error:
        _fail(f"{error}{_reason(error)}")
    except _SCHEMA_ERRORS as error:
        _fail(
            f"the database schema does not match this version ({error}): "
            "run `mpanel-billing migrate up`"
        )
    except asyncpg.InsufficientPrivilegeError as error:
        _fail(f"the user of DATABASE_URL lacks a privilege: {error}")


def _fail(sentence: str, status: int = 1) -> NoReturn:
    sys.stderr.write(f"mpanel-billing: {several_lines(sentence)}\n")
    sys.exit(status)


def _is_text(argument: str) -> bool:
    """Return whether it is valid UTF-8; Python passes other bytes through as surrogates."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return False
    return True


def _reason(error: BillingError) -> str:
    """Return why the database or Stripe is unavailable: the message itself is for buyers."""
    if not isinstance(error, DatabaseUnavailableError | StripeUnavailableError):
        return ""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    reason = " ".join(str(cause).split()) or type(cause).__name__
    return "" if reason in str(error) else f" ({reason})"
