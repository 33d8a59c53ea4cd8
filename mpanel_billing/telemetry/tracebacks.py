"""Errors as text, without the rows and values that PostgreSQL quotes in them."""

import re
import traceback
from collections.abc import Iterator

import asyncpg

_QUOTED_VALUE = re.compile(r"(: |\bvalue )(\".*\"|'.*')", re.DOTALL)
_ARGUMENT = re.compile(r"(query argument \$\d+).*", re.DOTALL)


def without_values(error: asyncpg.PostgresError | asyncpg.InterfaceError) -> str:
    """Return the message, without DETAIL (the row) and HINT, and without quoted values."""
    message = _ARGUMENT.sub(r"\1", str(error.args[0]) if error.args else "")
    return _QUOTED_VALUE.sub(r"\1...", message)


def traceback_text(error: BaseException) -> str:
    """Return a traceback without what `without_values` leaves out."""
    text = "".join(traceback.format_exception(error)).rstrip()
    for cause in causes_of(error):
        if isinstance(cause, asyncpg.PostgresError | asyncpg.InterfaceError):
            text = text.replace(str(cause), without_values(cause))
    return text


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, then what caused it, as tracebacks show it."""
    cause: BaseException | None = error
    seen: list[BaseException] = []
    while cause is not None and cause not in seen:
        seen.append(cause)
        yield cause
        shown = None if cause.__suppress_context__ else cause.__context__
        cause = cause.__cause__ or shown
