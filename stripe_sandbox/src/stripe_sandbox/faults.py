"""Injected faults (errors, hangs, cut connections) and the rate limit."""

import time
from dataclasses import dataclass, replace
from typing import Literal

from stripe_sandbox.errors import ApiError

SERVER_ERROR = 500

MESSAGES = {
    429: ("Request rate limit exceeded.", "invalid_request_error", "rate_limit"),
    SERVER_ERROR: ("An unknown error occurred", "api_error", None),
}


@dataclass(frozen=True)
class Fault:
    """A fault for the next `times` matching requests.

    `kind` status returns `status` (429 with `retry_after` seconds), hang waits `seconds` before it
    goes on, reset cuts the connection. `after_work` does the request's work first, so that only the
    response is lost. `remember` stores the error under the request's idempotency key, as Stripe
    does with a 500; by default only a 500 is stored.
    """

    kind: Literal["status", "hang", "reset"]
    method: str = "*"
    path: str = "/"
    times: int = 1
    status: int = 500
    retry_after: int = 1
    seconds: float = 0.0
    after_work: bool = False
    remember: bool | None = None

    def matches(self, method: str, path: str) -> bool:
        """Return whether the fault applies to the request."""
        return self.method in {"*", method} and path.startswith(self.path)

    def is_remembered(self) -> bool:
        """Return whether the error is stored under the idempotency key."""
        return self.status == SERVER_ERROR if self.remember is None else self.remember

    def error(self) -> ApiError:
        """Return the fault's error response."""
        message, kind, code = MESSAGES.get(
            self.status, ("The service is unavailable", "api_error", None)
        )
        headers = {"Retry-After": str(self.retry_after)} if self.status in {429, 503} else {}
        return ApiError(self.status, message, kind=kind, code=code, headers=headers)


class Faults:
    """Pending faults, oldest first."""

    def __init__(self) -> None:
        self._pending: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Queue the fault for the next matching requests."""
        self._pending.append(fault)

    def clear(self) -> None:
        """Drop all pending faults."""
        self._pending.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Return the fault that applies to the request, if any, and count it."""
        for position, fault in enumerate(self._pending):
            if fault.matches(method, path):
                left = replace(fault, times=fault.times - 1)
                self._pending[position : position + 1] = [left] if left.times else []
                return fault
        return None


class RateLimit:
    """Counts the requests of each second; `per_second` None, the default, is no limit.

    `refused` counts requests over the limit.
    """

    def __init__(self) -> None:
        self.per_second: int | None = None
        self.refused = 0
        self._second = 0
        self._count = 0

    def count(self) -> None:
        """Count a request; raises ApiError 429 if it is over the limit."""
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
