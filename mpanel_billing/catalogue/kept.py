"""The public catalogue in memory: read once, and again after each change of it in the database."""

import asyncio
from collections.abc import Callable, Hashable
from typing import TypeVar, cast

from mpanel_billing.catalogue.model import Catalogue
from mpanel_billing.catalogue.service import read_catalogue
from mpanel_billing.database.pool import Pool

Made = TypeVar("Made")

_MOST_KEPT = 1000
"""More than there are products; made-up categories cannot fill the memory."""


class KeptCatalogue:
    """What is on sale, and what was made of it, for as long as it is known to be true.

    It hears of changes by `billing_announce_catalogue`. While the process does not listen, it
    keeps nothing. Coupons come and go with time alone: orders read them from the database.
    """

    channel = "billing_catalogue"
    """Any notification means that products or prices have changed."""

    def __init__(self, pool: Pool, *, livemode: bool) -> None:
        """Keep the pool; nothing is read yet."""
        self._pool = pool
        self._livemode = livemode
        self._reading = asyncio.Lock()
        self.listening = False
        self.made: dict[Hashable, object] = {}
        """By key; another dictionary takes its place when the catalogue has changed."""

    def begin(self) -> None:
        """Trust what is read from now on."""
        self.listening = True
        self._forget()

    def hear(self, payload: str) -> None:
        """Forget what has been read, and what is being read."""
        self._forget()

    def end(self) -> None:
        """Forget everything, and keep nothing until the process listens again."""
        self.listening = False
        self._forget()

    def is_reading(self) -> bool:
        """Return whether a request reads it from the database."""
        return self._reading.locked()

    async def get(self, key: Hashable, make: Callable[[Catalogue], Made]) -> Made:
        """Return what `make` makes of the catalogue; errors of `make` are not kept."""
        found = self.made.get(key)
        if found is not None:
            return cast("Made", found)
        made = self.made  # a change puts another in its place: what is made now is not kept then
        value = make(await self._read(made))
        if self.listening and len(made) < _MOST_KEPT:
            made[key] = value
        return value

    async def get_catalogue(self) -> Catalogue:
        """Return what is on sale; which coupons there are may have changed since."""
        return await self._read(self.made)

    async def _read(self, made: dict[Hashable, object]) -> Catalogue:
        """Read the catalogue; of several requests at once one reads it for all."""
        if isinstance(found := made.get(Catalogue), Catalogue):
            return found
        async with self._reading:
            if isinstance(found := made.get(Catalogue), Catalogue):
                return found
            catalogue = await read_catalogue(self._pool, livemode=self._livemode)
            if self.listening:
                made[Catalogue] = catalogue
            return catalogue

    def _forget(self) -> None:
        self.made = {}
