"""The public catalogue is answered from memory, and never behind the database."""

import asyncio
from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from mpanel_billing.catalogue.kept import KeptCatalogue
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.pool import Pool
from mpanel_billing.http import keys
from tests.service import AppClient, make_app, make_settings

PLANS = "/api/public/plans"
CHANGES = {
    "an edit of a product": "UPDATE products SET name = 'Edited' WHERE code = 'starter'",
    "a new amount": "UPDATE prices SET unit_amount = 1234500 WHERE lookup_key ~ 'starter_monthly'",
    "a deleted product": "DELETE FROM products WHERE code = 'starter'",
    "an empty table": "TRUNCATE prices CASCADE",
}


@pytest.fixture
async def client(
    pool: Pool,
    database_url: str,
    shipped: CatalogueFile,
    aiohttp_client: Callable[..., Awaitable[AppClient]],
) -> AppClient:
    await apply_catalogue(pool, shipped)
    client = await aiohttp_client(make_app(make_settings(database_url=database_url)))
    await _until(lambda: _kept(client).listening)
    return client


def _kept(client: AppClient) -> KeptCatalogue:
    assert client.app is not None
    return client.app[keys.CATALOGUE]


async def _until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - nothing to wait on
            await asyncio.sleep(0.001)


async def _plans(client: AppClient) -> str:
    async with client.get(PLANS) as response:
        assert response.status == 200
        return await response.text()


async def _listener(pool: Pool) -> int:
    pid = await pool.fetchval(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name = 'mpanel-billing listener'"
    )
    assert isinstance(pid, int)
    return pid


async def test_it_is_read_once(client: AppClient, pool: Pool) -> None:
    before = await _plans(client)
    async with pool.acquire() as conn, conn.transaction():
        await conn.execute("LOCK TABLE prices")  # whoever reads it now waits
        assert await _plans(client) == before


@pytest.mark.parametrize("change", CHANGES)
async def test_whoever_changes_it_in_the_database_changes_the_response(
    client: AppClient, pool: Pool, change: str
) -> None:
    before = await _plans(client)
    made = _kept(client).made
    await pool.execute(CHANGES[change])
    await _until(lambda: _kept(client).made is not made)
    assert await _plans(client) != before


async def test_a_change_that_was_not_heard_of_shows_once_the_listener_is_back(
    client: AppClient, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mpanel_billing.database.notifications.RECONNECT_SECONDS", 0.3)
    before = await _plans(client)
    async with pool.acquire() as conn:
        await conn.execute("SELECT pg_terminate_backend($1)", await _listener(pool))
        await conn.execute(CHANGES["an edit of a product"])
    await _until(lambda: not _kept(client).listening)
    edited = await _plans(client)
    assert "Edited" in edited
    assert edited != before
    assert not _kept(client).made  # nothing is kept that no notification would undo
    await _until(lambda: _kept(client).listening)
    assert await _plans(client) == edited
    made = _kept(client).made  # before the change: it may be heard of before the next statement
    await pool.execute("UPDATE products SET name = 'Again' WHERE code = 'starter'")
    await _until(lambda: _kept(client).made is not made)
    assert "Again" in await _plans(client)


async def test_what_was_read_before_a_change_is_not_kept_after_it(
    client: AppClient, pool: Pool, database_url: str
) -> None:
    kept = _kept(client)
    blocker = await asyncpg.connect(database_url)
    blocking = blocker.transaction()
    await blocking.start()
    await blocker.execute("LOCK TABLE coupons")
    reading = asyncio.create_task(_plans(client))
    await _until(kept.is_reading)
    kept.hear("")  # while it waits for the lock
    await blocking.rollback()
    await blocker.close()
    await reading
    assert not kept.made


async def test_made_up_names_do_not_fill_the_memory(
    client: AppClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mpanel_billing.catalogue.kept._MOST_KEPT", 3)
    for number in range(5):
        await client.get("/api/marketing-api/products/catalog", params={"category": f"{number}"})
        await client.get(f"/api/marketing-api/products/none-{number}")
    assert len(_kept(client).made) == 3
