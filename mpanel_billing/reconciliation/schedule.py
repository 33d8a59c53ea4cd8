"""The daily reconcile."""

import logging

from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.reconciliation.service import Wish, request_run

logger = logging.getLogger(__name__)

_MINUTE = 23
"""Not on the hour, when everybody's jobs begin."""


def cron_of(hour: int) -> str:
    """Return the cron expression of once a day in that hour, UTC."""
    return f"{_MINUTE} {hour} * * *"


async def request_daily_run(mirror: Mirror) -> None:
    """Ask for the run of the day: a stopped one goes on, and one that is running is let run."""
    try:
        await request_run(mirror.pool, Wish("schedule", mirror.livemode))
    except ConflictError:
        logger.info("a reconcile is running already")
