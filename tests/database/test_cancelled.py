"""A statement that is cancelled, by statement_timeout or an administrator, can be tried again."""

import pytest

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import DatabaseUnavailableError


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
