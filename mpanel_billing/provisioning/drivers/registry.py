"""Which driver serves which product type, and how hard it may be driven."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from mpanel_billing.provisioning.drivers.protocol import Driver


class Throttle:
    """Keeps calls of this process to at most `concurrency` at once and `per_second` begun."""

    def __init__(self, concurrency: int, per_second: float | None = None) -> None:
        """Let everything pass within these limits; no `per_second` means no rate limit."""
        self._places = asyncio.Semaphore(concurrency)
        self._interval = 1 / per_second if per_second else 0.0
        self._next_start = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place and the next start, and hold the place."""
        async with self._places:
            await self._pace()
            yield

    async def _pace(self) -> None:
        if not self._interval:
            return
        now = asyncio.get_running_loop().time()
        start = max(now, self._next_start)
        self._next_start = start + self._interval
        await asyncio.sleep(start - now)


@dataclass(frozen=True, slots=True)
class Lane:
    """A driver and the limits under which it is called."""

    driver: Driver
    throttle: Throttle


@dataclass(frozen=True, slots=True)
class Drivers:
    """The drivers of a process: those of `by_type`, else the fallback."""

    fallback: Lane
    by_type: Mapping[str, Lane] = field(default_factory=dict)

    def choose(self, product_type: str) -> Lane:
        """Return the lane for a new account of that type."""
        return self.by_type.get(product_type, self.fallback)

    def find(self, product_type: str, driver_name: str) -> Lane | None:
        """Return the lane to an account that the named driver has made."""
        lanes = (self.choose(product_type), self.fallback)
        return next((lane for lane in lanes if lane.driver.name == driver_name), None)
