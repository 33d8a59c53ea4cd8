"""A pool on a database of the test's own."""

from collections.abc import AsyncIterator

import pytest

from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.settings import DatabaseSettings


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    settings = DatabaseSettings(_env_file=None, database_url=database_url)  # type: ignore[call-arg]
    pool = await create_pool(settings)
    yield pool
    await pool.close()
