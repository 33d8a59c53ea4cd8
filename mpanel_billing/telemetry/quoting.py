"""Errors and texts of other systems, as far as they may be stored and shown (rule 12).

PostgreSQL quotes rows in its errors, services quote what they were sent, and buyers type what they
like. A stored error has the sentence without the data; a shown text cannot steer a terminal.
"""

import re
import traceback

import asyncpg

from mpanel_billing.errors import BillingError
from mpanel_billing.telemetry.logs import redact
from mpanel_billing.telemetry.tracebacks import causes_of, without_values

LONGEST_ERROR = 20_000
"""Characters of an error that are stored, traceback included."""

_LONGEST_SENTENCE = 500

_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]"
)
"""Control characters, and those that hide or reorder their neighbours (Unicode TR 36, 2.1)."""

_A_LINE = re.compile(r"[^\n\t]+")


def one_line(text: str) -> str:
    r"""Return text for one line of a terminal or a list: each control character as `\x1b`."""
    return _INVISIBLE.sub(_escaped, text)


def several_lines(text: str) -> str:
    """Return text for a terminal: as `one_line` of each of its lines; tabs stay."""
    return _A_LINE.sub(lambda line: one_line(line[0]), text)


def quote(text: str, longest: int = _LONGEST_SENTENCE) -> str:
    """Return what another system says, to be stored: masked, on one line, not too long."""
    return one_line(redact(" ".join(text.split())))[:longest]


def sentence_of(error: BaseException) -> str:
    """Return one line that says what went wrong, without the data that it went wrong with.

    Our own errors quote none. PostgreSQL's lose their DETAIL and quoted values. Of other errors
    only the type and the place are kept: their messages quote anything.
    """
    if isinstance(error, BillingError):
        return quote(str(error))
    if isinstance(error, asyncpg.PostgresError | asyncpg.InterfaceError):
        return quote(f"{type(error).__name__}: {without_values(error)}")
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__}{f' in {frames[-1].name}' if frames else ''}"


def error_text(error: BaseException) -> str:
    """Return the sentence, and below it where the error and its causes were raised."""
    parts = [
        f"{sentence_of(cause)}\n{''.join(traceback.format_tb(cause.__traceback__))}".rstrip()
        for cause in causes_of(error)
    ]
    return "\n\ncaused by: ".join(parts)[:LONGEST_ERROR]


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"  # noqa: PLR2004 - one byte
