"""Tasks that run during a block of code."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress


@asynccontextmanager
async def background(coroutine: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run it until the block ends, then cancel it. If it has failed, the block's end raises."""
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
