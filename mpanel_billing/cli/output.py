"""Output that commands share: lines, JSON, times, and the progress of a long command.

Much of what is listed was typed by buyers or sent by other systems: it goes through `print_line`
or `print_text`, so that it can neither steer the terminal nor look like a line of ours.
"""

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, TextIO

import typer

from mpanel_billing.telemetry.quoting import one_line, several_lines

if TYPE_CHECKING:  # most commands print lines only
    from mpanel_billing.reconciliation.drift import Progress

_BAR = 30
_TERMINAL_SECONDS = 0.1
_LOG_SECONDS = 10.0


def print_line(text: str) -> None:
    """Print one line of a list; control characters in it are shown, not sent."""
    typer.echo(one_line(text.rstrip()))


def print_text(text: str) -> None:
    """Print a text of several lines; control characters in them are shown, not sent."""
    typer.echo(several_lines(text))


def json_text(value: object, *, indent: int | None = 2) -> str:
    """Return JSON with times in ISO 8601, ids and decimals as strings."""
    return json.dumps(value, indent=indent, default=_plain)


def moment_text(moment: datetime) -> str:
    """Return a time to the second."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


class ProgressLine:
    """Shows progress: a bar on a terminal, elsewhere a line every few seconds.

    The total is an estimate.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to a stream, usually stderr."""
        self._stream = stream
        self._live = stream.isatty()
        self._interval = _TERMINAL_SECONDS if self._live else _LOG_SECONDS
        self._total = 0
        self._objects = self._events = self._accounts = self._drift = 0
        self._started = self._shown = time.monotonic()

    def expect(self, objects: int) -> None:
        """Set the estimated number of objects."""
        self._total = objects

    def show(self, progress: "Progress") -> None:
        """Count one page, and update the display at intervals."""
        self._objects += progress.objects
        self._events += progress.events
        self._accounts += progress.accounts
        self._drift += progress.drifted
        now = time.monotonic()
        if now - self._shown >= self._interval:
            self._shown = now
            self._write()

    def end(self) -> None:
        """Show the final state and end the line."""
        self._write()
        if self._live:
            self._stream.write("\n")

    def _write(self) -> None:
        text = self._text()
        self._stream.write(f"\r\x1b[K{self._bar()}{text}" if self._live else f"{text}\n")
        self._stream.flush()

    def _text(self) -> str:
        seconds = max(time.monotonic() - self._started, 0.001)
        whole = f" of about {self._total:,}" if self._is_part() else ""
        return (
            f"{self._objects:,}{whole} objects ({self._objects / seconds:,.0f}/s), "
            f"{self._events:,} events, {self._accounts:,} accounts; {self._drift:,} differ"
        )

    def _is_part(self) -> bool:
        """Return whether the estimate still holds; for an empty mirror it is 0."""
        return self._objects <= self._total

    def _bar(self) -> str:
        if not self._is_part() or not self._total:
            return ""
        part = self._objects / self._total
        done = round(part * _BAR)
        return f"[{'#' * done}{'.' * (_BAR - done)}] {part:4.0%} "
