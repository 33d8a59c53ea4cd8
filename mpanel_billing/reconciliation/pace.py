"""How hard Stripe is asked: politely at most, and less when it says that it is too much."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mpanel_billing.errors import StripeUnavailableError

T = TypeVar("T")

MOST_TRIES = 6
"""Of one question in a row; then the run stops, and goes on later where it was."""

_PAUSE_SECONDS = 10


class Pace:
    """Lets at most so many questions a second begin, and none while Stripe wants to be left alone.

    One for all that a run asks, however much of it at the same time.
    """

    def __init__(self, per_second: float) -> None:
        """Begin at once."""
        self._interval = 1 / per_second
        self._next_start = 0.0
        self.pauses = 0

    async def turn(self) -> None:
        """Wait until the next question may be asked."""
        now = asyncio.get_running_loop().time()
        start = max(now, self._next_start)
        self._next_start = start + self._interval
        await asyncio.sleep(start - now)

    def pause(self, seconds: float) -> None:
        """Let nobody ask for that long."""
        resume = asyncio.get_running_loop().time() + seconds
        self._next_start = max(self._next_start, resume)
        self.pauses += 1

    async def ask(self, question: Callable[[], Awaitable[T]]) -> T:
        """Ask in turn, and again when Stripe is busy or away, as late as it says (Retry-After).

        Raises StripeUnavailableError after MOST_TRIES.
        """
        for _ in range(MOST_TRIES - 1):
            await self.turn()
            try:
                return await question()
            except StripeUnavailableError as error:
                self.pause(error.retry_after or _PAUSE_SECONDS)
        await self.turn()
        return await question()
