"""What PM2 and a process that it runs have to say to each other."""

import os

_CHANNEL = "NODE_CHANNEL_FD"
"""PM2 opens a channel for each of its children, as Node does, and names it so."""


def runs_under_pm2() -> bool:
    """Say whether PM2 has started this process."""
    return _CHANNEL in os.environ


def tell_ready() -> None:
    """Tell PM2 (`wait_ready`) that this process is at work; nothing where there is no PM2."""
    if runs_under_pm2():
        os.write(int(os.environ[_CHANNEL]), b'"ready"\n')
