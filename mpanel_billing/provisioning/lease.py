"""The lease on a subscription: only one run works on it at a time, even after a crash.

A lease is a token in a row with an expiry, not a database lock: no connection is held while a
driver is called, and it works behind a pooler. A live run prolongs it; once it expires, another
run takes over.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias
from uuid import UUID

from mpanel_billing.errors import BillingError

LEASE_SECONDS = 15.0


Clock: TypeAlias = Callable[[], datetime | None]
"""Returns the current time (UTC) by which leases, retries, grace and retention are decided."""


def database_clock() -> datetime | None:
    """Return None: the database's own time, which workers on all machines share."""
    return None


class LeaseBusyError(BillingError):
    """Another run works on the subscription; its lease expires in `seconds` at the latest."""

    code = "lease_busy"

    def __init__(self, seconds: float) -> None:
        """Keep the seconds."""
        super().__init__("Another worker is working on this subscription.")
        self.seconds = seconds


class LeaseLostError(BillingError):
    """Another run has taken over; this one must stop."""

    code = "lease_lost"

    def __init__(self) -> None:
        """Set the message."""
        super().__init__("Another worker has taken over.")


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to work on a subscription.

    `version` is that of its work when the lease was taken; `attempts` counts the runs since the
    last successful one, including this one.
    """

    subscription_id: UUID
    token: UUID
    version: int
    attempts: int
    clock: Clock = database_clock
