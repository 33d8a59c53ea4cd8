"""What a worker's log says while the database is away: a line a minute, and what it is about."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mpanel_billing.database.pool import CONNECTION_ERRORS

REPEAT_SECONDS = 60.0
_QUEUE = logging.getLogger("pgqueuer")
_SUPERVISOR = "supervisor"
"""The module of PgQueuer that starts the queue anew; it logs a traceback for every attempt."""


class OutageLines(logging.Filter):
    """Passes on what PgQueuer logs, but for its attempts to start without a database.

    They are told as one warning without a traceback, and again every REPEAT_SECONDS by `now`.
    Jobs that fail for the same reason are logged as always.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now = now
        self._quiet_until = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether to log a record, made brief where it is one of many."""
        if record.module != _SUPERVISOR:
            return True
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return record.levelno > logging.INFO  # "waiting", "restarting": a second each
        if not isinstance(error, CONNECTION_ERRORS):
            return True
        if self._now() < self._quiet_until:
            return False
        self._quiet_until = self._now() + REPEAT_SECONDS
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args = "the database is away; trying every second: %s", (error,)
        record.exc_info = record.exc_text = None
        return True


@contextmanager
def brief_outages() -> Iterator[None]:
    """Have outages of the database told in brief until the end of the block."""
    lines = OutageLines()
    _QUEUE.addFilter(lines)
    try:
        yield
    finally:
        _QUEUE.removeFilter(lines)
