"""The pages on many customers with faults, as the benchmark and the screenshots have them."""

from urllib.parse import quote

import asyncpg

from benchmarks.console import MOST_BYTES, PLACES, pages, searches
from benchmarks.many_rows import fill
from tests.console.conftest import Console

MANY = 400


async def test_every_page_and_every_search_shows_what_there_is_and_stays_small(
    console: Console, database_url: str
) -> None:
    conn = await asyncpg.connect(database_url)
    await fill(conn, MANY, seed=1)
    places = await conn.fetchrow(PLACES, MANY - 1)
    await conn.close()
    assert places
    for path in pages(dict(places)):
        shown = await console.open(path)
        assert shown.status == 200, path
        assert len(shown.html.encode()) <= MOST_BYTES, path
    for text in searches(dict(places)):
        shown = await console.open(f"/console/find?q={quote(text)}")
        assert f"/console/customers/{places['customer']}" in shown.links or "more" in shown.text
