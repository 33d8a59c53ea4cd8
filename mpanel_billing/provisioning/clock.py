"""What time it is for provisioning: one clock decides leases, retries, grace and retention."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], datetime | None]
"""Answers the moment, in UTC, that counts as now; None: the database's own."""


def database_clock() -> datetime | None:
    """Leave it to the database: the one clock that workers on all machines share."""
    return None
