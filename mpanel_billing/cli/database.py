"""What most commands need: the database, for as long as they run."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.settings import load_database_settings

T = TypeVar("T")


def with_pool(do: Callable[[Pool], Awaitable[T]]) -> T:
    """Run something with connections to DATABASE_URL, and return what it answers."""

    async def run() -> T:
        async with await create_pool(load_database_settings()) as pool:
            return await do(pool)

    return asyncio.run(run())
