"""The rate at which this process calls another system."""

import asyncio


class Pace:
    """Limits how many calls start per second, and can pause all of them.

    Shared by concurrent callers.
    """

    def __init__(self, per_second: float) -> None:
        """Start without a delay."""
        self._interval = 1 / per_second
        self._next_start = 0.0
        self.pauses = 0

    async def turn(self) -> None:
        """Wait until the next call may start."""
        await asyncio.sleep(self.book())

    def book(self) -> float:
        """Take the next turn; return the seconds until then."""
        now = asyncio.get_running_loop().time()
        start = max(now, self._next_start)
        self._next_start = start + self._interval
        return start - now

    def pause(self, seconds: float) -> None:
        """Start no call for that long."""
        resume = asyncio.get_running_loop().time() + seconds
        self._next_start = max(self._next_start, resume)
        self.pauses += 1
