"""Tasks that run during a block of code."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager


@asynccontextmanager
async def background(coroutine: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Run it until the block ends, then cancel it. If it has failed, the block's end raises."""
    task = asyncio.create_task(coroutine)
    try:
        yield
    finally:
        await end(task)
        if not task.cancelled():
            task.result()


async def end(*tasks: asyncio.Task[None]) -> None:
    """Cancel tasks, and wait until they are done; what they return or raise stays with them.

    A caller that is cancelled meanwhile gets its CancelledError. Awaiting a cancelled task and
    suppressing that error would hide it, and the caller would go on.
    """
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
