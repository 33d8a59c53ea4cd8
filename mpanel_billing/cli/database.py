"""The connection pool of a command."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.settings import load_database_settings

T = TypeVar("T")


def with_pool(do: Callable[[Pool], Awaitable[T]]) -> T:
    """Run a function with a pool for DATABASE_URL and return its result."""

    async def run() -> T:
        async with await create_pool(load_database_settings()) as pool:
            return await do(pool)

    return asyncio.run(run())
