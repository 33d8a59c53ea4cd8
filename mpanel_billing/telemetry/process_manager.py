"""What the process manager hears: PM2 over its channel, systemd over its socket."""

import asyncio
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from mpanel_billing.telemetry.systemd import notify

logger = logging.getLogger(__name__)

_CHANNEL = "NODE_CHANNEL_FD"
"""PM2 names the file descriptor of the channel here, as Node does for its children."""


def runs_under_pm2() -> bool:
    """Return whether PM2 started this process."""
    return _CHANNEL in os.environ


def signal_ready() -> None:
    """Report to PM2 (`wait_ready`) or systemd that this process is ready; else do nothing."""
    notify("READY=1")
    if runs_under_pm2():
        os.write(int(os.environ[_CHANNEL]), b'"ready"\n')


@contextmanager
def stopping_with_pm2(stop: asyncio.Event) -> Iterator[None]:
    """Set the event if PM2 ends, during the block; does nothing without PM2.

    What PM2 has started survives it otherwise, and holds the port with old settings.
    """
    if not runs_under_pm2():
        yield
        return
    loop, channel = asyncio.get_running_loop(), int(os.environ[_CHANNEL])

    def read() -> None:
        if not _is_open(channel):
            logger.warning("PM2 has ended: stopping")
            loop.remove_reader(channel)
            stop.set()

    loop.add_reader(channel, read)
    try:
        yield
    finally:
        loop.remove_reader(channel)


def _is_open(channel: int) -> bool:
    """Discard what PM2 writes; nothing to read means that it has closed its end."""
    try:
        return os.read(channel, 65_536) != b""
    except ConnectionError:
        return False
