"""How many requests a second the API takes, as Stripe's does: above that it answers 429."""

import time

from stripe_sandbox.errors import ApiError


class RateLimit:
    """Counts the requests of each second; `per_second` None, as at first, lets all pass.

    `refused` counts those that were too many.
    """

    def __init__(self) -> None:
        self.per_second: int | None = None
        self.refused = 0
        self._second = 0
        self._count = 0

    def count(self) -> None:
        """Count a request; raises ApiError when it is one too many in its second."""
        if self.per_second is None:
            return
        second = int(time.monotonic())
        self._count = self._count + 1 if second == self._second else 1
        self._second = second
        if self._count > self.per_second:
            self.refused += 1
            raise ApiError(
                429,
                "Request rate limit exceeded.",
                code="rate_limit",
                headers={"Retry-After": "1"},
            )
