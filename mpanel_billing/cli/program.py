"""The program behind the command line: runs a command, and turns its errors into sentences."""

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import asyncpg

from mpanel_billing.cli import COMMANDS, WRONG_SETTINGS
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

LASTING = frozenset({"serve", "worker"})
"""Commands that run for weeks; they take no options."""

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it."""


def run(arguments: Sequence[str]) -> None:
    """Run the command; an error that an operator can fix is one line on stderr.

    The exit status is 1 then, or WRONG_SETTINGS.
    """
    if not all(map(_is_text, arguments)):
        _fail("an argument is not valid UTF-8")
    try:
        _run(arguments)
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
    except KeyboardInterrupt:  # while a process starts; typer turns those of other commands
        sys.exit(INTERRUPTED)


def _run(arguments: Sequence[str]) -> None:
    """Run it; those that last do without typer, which would stay in memory and has no say there."""
    if len(arguments) == 1 and arguments[0] in LASTING:
        module, _, function = COMMANDS[arguments[0]].partition(":")
        getattr(import_module(module), function)()
        return
    from mpanel_billing.cli.commands import build_app  # noqa: PLC0415 - see above

    build_app(arguments)()


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
