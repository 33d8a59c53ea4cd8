"""Lists that are read page by page, each after the last id of the page before."""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import asyncpg

FIRST_ID = UUID(int=0)
"""Comes before every id."""

PAGE = 100
"""How many rows a page has, by default."""


async def read_pages(
    read: Callable[[UUID], Awaitable[Sequence[asyncpg.Record]]],
) -> Sequence[asyncpg.Record]:
    """Return all rows; `read` returns at most PAGE of them, by `subscription_id`, after an id."""
    rows: list[asyncpg.Record] = []
    page = await read(FIRST_ID)
    while page:
        rows += page
        page = await read(page[-1]["subscription_id"]) if len(page) == PAGE else ()
    return rows
