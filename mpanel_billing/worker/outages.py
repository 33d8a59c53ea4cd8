"""Reduces a worker's log during a database outage to one line a minute."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mpanel_billing.database.pool import CONNECTION_ERRORS

REPEAT_SECONDS = 60.0
_QUEUE = logging.getLogger("pgqueuer")
_SUPERVISOR = "supervisor"
"""The module of PgQueuer that restarts the queue; it logs a traceback for every attempt."""


class OutageLines(logging.Filter):
    """Passes on what PgQueuer logs, except its attempts to restart without a database.

    Those become one warning without a traceback, repeated every REPEAT_SECONDS of `now`. Jobs that
    fail for the same reason are logged as usual.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._quiet_until = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to log a record; shortens the first of an outage."""
        if record.module != _SUPERVISOR:
            return True
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return record.levelno > logging.INFO  # "waiting", "restarting": every second
        if not isinstance(error, CONNECTION_ERRORS):
            return True
        if self._now() < self._quiet_until:
            return False
        self._quiet_until = self._now() + REPEAT_SECONDS
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args = "the database is unavailable; retrying every second: %s", (error,)
        record.exc_info = record.exc_text = None
        return True


@contextmanager
def brief_outages() -> Iterator[None]:
    """Shorten the log of database outages until the block ends."""
    lines = OutageLines()
    _QUEUE.addFilter(lines)
    try:
        yield
    finally:
        _QUEUE.removeFilter(lines)
