"""A statement that is cancelled, by statement_timeout or an administrator, can be tried again."""

import pytest

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import DatabaseUnavailableError
from tests.waiting import until_true


async def test_a_cancelled_statement_is_a_503_and_the_next_one_works(pool: Pool) -> None:
    async def take_too_long() -> None:
        async with transaction(pool) as conn:
            await conn.execute("SET LOCAL statement_timeout = 10")
            await conn.execute("SELECT pg_sleep(5)")

    with pytest.raises(DatabaseUnavailableError) as refused:
        await take_too_long()
    assert (refused.value.status, bool(refused.value.retry_after)) == (503, True)
    async with acquired(pool) as conn:
        assert await conn.fetchval("SELECT 1") == 1


async def test_a_process_that_is_frozen_in_a_transaction_keeps_no_lock(pool: Pool) -> None:
    async def freeze() -> None:
        async with transaction(pool) as conn:
            await conn.execute("SET LOCAL idle_in_transaction_session_timeout = 10")
            await conn.execute("LOCK TABLE subscriptions")
            gone = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)"
            await until_true(pool, gone, conn.get_server_pid())
            await conn.execute("SELECT 1")

    with pytest.raises(DatabaseUnavailableError):
        await freeze()
    async with acquired(pool) as conn:
        await conn.execute("SELECT FROM subscriptions")
        assert await conn.fetchval("SHOW idle_in_transaction_session_timeout") == "10s"
