"""Ends a worker whose queue does nothing while work waits, so that it is started again."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mpanel_billing.database.connecting import CONNECT_TIMEOUT_SECONDS, connect
from mpanel_billing.database.pool import CONNECTION_ERRORS
from mpanel_billing.telemetry.repository import has_waiting_jobs
from mpanel_billing.telemetry.watchdog import LIMIT_SECONDS, exit_stuck

_CHECK_SECONDS = 15.0


class Progress:
    """What a worker does: how many jobs are running, and when it was last seen at work."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """Take the clock, in seconds."""
        self._now = now
        self._running = 0
        self._seen = now()

    @contextmanager
    def job(self) -> Iterator[None]:
        """Count a job while it runs. Its own calls are bounded, so it is no stall."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self.excuse()

    def excuse(self) -> None:
        """Count idleness from now on: the worker did something, or could not."""
        self._seen = self._now()

    def idle_seconds(self) -> float:
        """Return for how long nothing has run."""
        return 0.0 if self._running else self._now() - self._seen


async def watch_queue(
    database_url: str, progress: Progress, on_stall: Callable[[str], object] = exit_stuck
) -> None:
    """Call `on_stall` with the reason once due work waits and nothing is done for LIMIT_SECONDS.

    A database that is away or read-only is an outage, not a stall. Runs until it is cancelled, with
    connections of its own: it has to work when the pools do not.
    """
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        if progress.idle_seconds() < LIMIT_SECONDS:
            continue
        if await _work_waits(database_url):
            on_stall(f"work has been due for {LIMIT_SECONDS:.0f} s, and this worker does nothing")
        progress.excuse()


async def _work_waits(database_url: str) -> bool:
    try:
        conn = await connect(
            database_url,
            command_timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings={"application_name": "mpanel-billing watchdog"},
        )
        try:
            return await has_waiting_jobs(conn, LIMIT_SECONDS)
        finally:
            conn.terminate()
    except CONNECTION_ERRORS:
        return False
