"""Ends a process that is stuck, so that the process manager starts it again."""

import asyncio
import faulthandler
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from typing import NoReturn

from mpanel_billing.background import background
from mpanel_billing.telemetry.systemd import notify

logger = logging.getLogger(__name__)

LIMIT_SECONDS = 60.0
"""How long an event loop may stand still, or due work wait while nothing is done."""

STUCK = 70
"""The exit status of a process that ended because it was stuck."""

_BEAT_SECONDS = 1.0


@asynccontextmanager
async def watching_loop() -> AsyncIterator[None]:
    """End the process if its event loop stands still for LIMIT_SECONDS during the block.

    A thread without Python code does it, so it works while another one holds the interpreter. It
    writes the stack of each thread to stderr and exits with status 1. systemd hears every second
    that the loop turns (`WatchdogSec`), which also ends a process whose threads all stand still.
    """
    try:
        async with background(_keep_beating()):
            yield
    finally:
        faulthandler.cancel_dump_traceback_later()


async def _keep_beating() -> None:
    while True:
        faulthandler.dump_traceback_later(LIMIT_SECONDS, exit=True)
        notify("WATCHDOG=1")
        await asyncio.sleep(_BEAT_SECONDS)


def exit_stuck(reason: str) -> NoReturn:
    """Log the reason and where each task stands, and end the process at once."""
    stacks = StringIO()
    for task in asyncio.all_tasks():
        task.print_stack(file=stacks)
    logger.critical("%s; exiting for the process manager\n%s", reason, stacks.getvalue())
    logging.shutdown()
    sys.stderr.flush()
    os._exit(STUCK)
