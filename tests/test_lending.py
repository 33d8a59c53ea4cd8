"""A database that is lent to one test after the other is as new for each."""

import asyncio

import asyncpg
import pytest

from mpanel_billing.database.pool import create_pool
from tests.inbox import Inbox
from tests.postgres import Databases, Stocked
from tests.roles import WEB_ROLE, settings_under
from tests.service import make_settings
from tests.stripe_objects import subscription

STATE = """
SELECT (SELECT array_agg(p::text ORDER BY p.id) FROM prices AS p) AS prices,
    (SELECT array_agg(p::text ORDER BY p.id) FROM products AS p) AS products,
    (SELECT count(*) FROM subscriptions) AS sold, (SELECT count(*) FROM stripe_events) AS events,
    (SELECT array_agg((sequencename, last_value)::text ORDER BY 1) FROM pg_sequences) AS reached
"""


async def look(url: str) -> asyncpg.Record:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchrow(STATE)
    finally:
        await connection.close()


async def use(url: str) -> int:
    """Write to several tables as the service does; return the pid of the session."""
    settings = settings_under(make_settings(database_url=url), WEB_ROLE)
    async with await create_pool(settings) as pool:
        await Inbox(pool).deliver("customer.subscription.created", subscription())
        pid: int = await pool.fetchval("SELECT pg_backend_pid()")
        await pool.execute("SELECT set_config('timezone', 'Asia/Tokyo', false)")
        await pool.execute("SELECT pg_advisory_lock(7)")
    return pid


async def spoil(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def test_what_was_written_is_gone_and_the_session_is_reset(
    databases: Databases, stocked: Stocked
) -> None:
    with databases.lent(stocked.template) as url:
        before = asyncio.run(look(url))
        first = asyncio.run(use(url))
        asyncio.run(spoil(url, "UPDATE prices SET unit_amount = 1; DELETE FROM products"))
        assert asyncio.run(look(url)) != before
    with databases.lent(stocked.template) as again:
        assert again == url
        assert asyncio.run(look(again)) == before
        assert asyncio.run(use(again)) == first, "the session is another one"


async def settings_of(url: str) -> tuple[str, int]:
    async with await create_pool(settings_under(make_settings(database_url=url), WEB_ROLE)) as pool:
        zone: str = await pool.fetchval("SELECT current_setting('timezone')")
        held: int = await pool.fetchval(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        )
        return zone, held


def test_a_session_keeps_no_setting_and_no_lock(databases: Databases, template: str) -> None:
    with databases.lent(template) as url:
        asyncio.run(use(url))
        assert asyncio.run(settings_of(url)) == ("UTC", 0)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE prices ADD COLUMN colour text",
        "ALTER TABLE prices ALTER COLUMN unit_amount SET DEFAULT 7",
        "CREATE OR REPLACE VIEW seen AS SELECT 1",
        "GRANT UPDATE (unit_amount) ON prices TO tests_web",
        "REVOKE SELECT ON prices FROM tests_web",
        "CREATE FUNCTION one() RETURNS integer LANGUAGE sql RETURN 1",
        "ALTER TABLE subscriptions DISABLE TRIGGER ALL",
        "DO $$ BEGIN EXECUTE 'ALTER DATABASE ' || current_database() || ' SET jit = on'; END $$",
    ],
)
def test_a_database_that_was_changed_is_not_lent_again(
    databases: Databases, template: str, statement: str
) -> None:
    with databases.lent(template) as url:
        asyncio.run(spoil(url, statement))
    with databases.lent(template) as another:
        assert another != url
