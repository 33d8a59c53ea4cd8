"""How long a request of ours waits for Stripe, in all of its calls together.

Each call may take STRIPE_TIMEOUT_SECONDS and is repeated, and a change makes several: without a
limit for all, a client would have given up long before.
"""

import asyncio
from contextvars import ContextVar, Token
from typing import Self


class StripeBudget:
    """Limits all calls to Stripe in the block to that many seconds, from the first one on.

    Every request has one, also those that never call Stripe, so it does nothing until the first.
    """

    __slots__ = ("_deadline", "_seconds", "_token")

    def __init__(self, seconds: float) -> None:
        """Take the seconds."""
        self._seconds = seconds
        self._token: Token[StripeBudget | None] | None = None
        self._deadline: float | None = None

    def __enter__(self) -> Self:
        """Begin the block."""
        self._token = _BUDGET.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        """End the block."""
        if self._token is not None:
            _BUDGET.reset(self._token)

    def start(self) -> float:
        """Return the deadline; the first call sets it."""
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._seconds
        return self._deadline


_BUDGET: ContextVar[StripeBudget | None] = ContextVar("stripe_budget", default=None)


def within_budget() -> asyncio.Timeout:
    """Return a context that raises TimeoutError when the budget is used up, if there is one."""
    budget = _BUDGET.get()
    return asyncio.timeout_at(budget.start() if budget else None)
