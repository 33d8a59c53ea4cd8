"""Turns of runs that ask Stripe before they suspend or terminate.

When many grace or retention periods end at once, the runs must neither exceed Stripe's rate limit
nor hold all jobs of a worker: a new order is provisioned before they have all asked.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from mpanel_billing.jobs.pace import Pace

REQUESTS_PER_SECOND = 5.0
"""Of one worker."""

_MOST_AT_ONCE = 5
"""Runs of one worker that ask; the others come back."""

_REQUESTS = 2
"""What most runs ask for: an invoice and the subscription."""


class StripeTurns:
    """Counts the runs of this worker that ask Stripe, and sets the `pace` of their requests."""

    def __init__(self) -> None:
        """Start with no run that asks."""
        self.pace = Pace(REQUESTS_PER_SECOND)
        self._asking = 0
        self._returns = Pace(REQUESTS_PER_SECOND / _REQUESTS)

    def put_off(self) -> float | None:
        """Return in how many seconds a run is to come back; None: it may ask now."""
        if self._asking < _MOST_AT_ONCE:
            return None
        return _MOST_AT_ONCE * _REQUESTS / REQUESTS_PER_SECOND + self._returns.book()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Count a run while it asks."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
