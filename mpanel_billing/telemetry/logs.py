"""Log lines: JSON in production, plain text in development, without secrets (rule 12)."""

import json
import logging
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TextIO

import asyncpg

from mpanel_billing.settings import DatabaseSettings
from mpanel_billing.telemetry.tracebacks import traceback_text, without_values

REQUEST_ID: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the current request, added to every line logged during it."""

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_QUIET = ("aiohttp.access", "asyncio", "stripe", "aiosql")
"""Library loggers whose info lines repeat ours. Stripe's would also log whole requests."""

_ENCODE = json.JSONEncoder(ensure_ascii=False, default=str).encode
_LOCAL_PART = r"[^\s@\"'<>(),:;=*\[\]{}]"


def _mask_card(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match[0])
    return f"****{digits[-4:]}" if _passes_luhn(digits) else match[0]


def _passes_luhn(digits: str) -> bool:
    """Tell card numbers from other long numbers. Source: ISO/IEC 7812-1, annex B."""
    doubled = (int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits)))
    return sum(value - 9 * (value > 9) for value in doubled) % 10 == 0  # noqa: PLR2004


MASKS: Sequence[tuple[str, re.Pattern[str], str | Callable[[re.Match[str]], str]]] = (
    ("://", re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s/]*@", re.IGNORECASE), r"\1:***@"),
    ("k_", re.compile(r"\b((?:sk|rk|pk)_(?:live|test)_)\w+"), r"\1***"),
    ("whsec_", re.compile(r"\b(whsec_)\w+"), r"\1***"),
    # our own API keys: their id may be logged
    ("mpb_", re.compile(r"\b(mpb_[0-9A-Za-z]{10})_\w+"), r"\1_***"),
    ("_secret_", re.compile(r"(_secret_)\w+"), r"\1***"),
    ("", re.compile(r"\b(Bearer|Basic)\s+[\w.+/=~-]+", re.IGNORECASE), r"\1 ***"),
    (
        "@",
        re.compile(rf"({_LOCAL_PART}){_LOCAL_PART}*@((?:[\w-]+\.)+[\w-]+)"),
        r"\1***@\2",
    ),
    ("", re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w.-])"), _mask_card),
)
"""Hint, pattern, replacement. A text without the hint cannot match, and `in` costs a tenth of the
pattern; every value of every line is checked."""


def configure_logging(settings: DatabaseSettings, stream: TextIO = sys.stderr) -> None:
    """Send all log lines of this process to `stream`, following LOG_FORMAT and LOG_LEVEL."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if settings.log_format == "json" else TextLines())
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def redact(text: str) -> str:
    """Mask e-mail addresses, keys, secrets, passwords in URLs and card numbers."""
    for hint, pattern, mask in MASKS:
        if hint in text:
            text = pattern.sub(mask, text)
    return text


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, requestId, fields of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, object] = {
            "time": _moment(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _message(record),
        }
        if request_id := REQUEST_ID.get():
            line["requestId"] = request_id
        line |= extra_fields(record)
        if record.exc_info:
            line["traceback"] = _traceback(record)
        return _ENCODE(redact_values(line))


class TextLines(logging.Formatter):
    """For people: `12:30:01 INFO POST /api/... 200 (durationMs=12 requestId=...)`."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, or several with a traceback."""
        message = _message(record)
        fields = extra_fields(record) | {"requestId": REQUEST_ID.get()}
        details = " ".join(
            f"{key}={value}"
            for key, value in fields.items()
            if value is not None and str(value) not in message
        )
        time = f"{_moment(record).astimezone():%H:%M:%S}"
        text = f"{time} {record.levelname:<7} {message}"
        if details:
            text += f" ({details})"
        if record.exc_info:
            text += "\n" + _traceback(record)
        return redact(text)


def extra_fields(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields that the caller passed as `extra=`."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD_FIELDS}


def _message(record: logging.LogRecord) -> str:
    """Return the message; an error of PostgreSQL in it does not quote rows."""
    if isinstance(record.args, tuple):
        record.args = tuple(map(_loggable, record.args))
    return record.getMessage()


def _loggable(value: object) -> object:
    return without_values(value) if isinstance(value, asyncpg.PostgresError) else value


def _traceback(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return traceback_text(error) if error else ""


def _moment(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def redact_values(value: object) -> object:
    """Apply `redact` inside a JSON value, so that masks cannot break the JSON around them."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: redact_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [redact_values(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))
