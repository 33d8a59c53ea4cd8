"""The channel between PM2 and the processes that it starts."""

import os

_CHANNEL = "NODE_CHANNEL_FD"
"""PM2 names the file descriptor of the channel here, as Node does for its children."""


def runs_under_pm2() -> bool:
    """Return whether PM2 started this process."""
    return _CHANNEL in os.environ


def signal_ready() -> None:
    """Report to PM2 (`wait_ready`) that this process is ready; does nothing without PM2."""
    if runs_under_pm2():
        os.write(int(os.environ[_CHANNEL]), b'"ready"\n')
