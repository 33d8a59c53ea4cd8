"""How long a request of ours waits for Stripe, in all of its calls together.

Each call may take STRIPE_TIMEOUT_SECONDS and is repeated, and a change makes several: without a
limit for all, a client would have given up long before.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(slots=True)
class _Budget:
    """Seconds from the first call on; `deadline` is by the clock of the event loop."""

    seconds: float
    deadline: float | None = None


_BUDGET: ContextVar[_Budget | None] = ContextVar("stripe_budget", default=None)


@contextmanager
def stripe_budget(seconds: float) -> Iterator[None]:
    """Limit all calls to Stripe in the block, from the first one on."""
    token = _BUDGET.set(_Budget(seconds))
    try:
        yield
    finally:
        _BUDGET.reset(token)


def within_budget() -> asyncio.Timeout:
    """Return a context that raises TimeoutError when the budget is used up, if there is one."""
    budget = _BUDGET.get()
    if budget is None:
        return asyncio.timeout(None)
    if budget.deadline is None:
        budget.deadline = asyncio.get_running_loop().time() + budget.seconds
    return asyncio.timeout_at(budget.deadline)
