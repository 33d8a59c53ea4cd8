"""A statement that is cancelled can be tried again, and a task that is cancelled ends."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from urllib.parse import parse_qs, urlsplit

import pytest

from mpanel_billing.database import pool as pools
from mpanel_billing.database.pool import Pool, acquired, create_pool, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.settings import DatabaseSettings
from tests.tcp_proxy import TcpProxy
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


@pytest.mark.parametrize("block", [acquired, transaction])
async def test_a_task_that_is_cancelled_while_the_server_is_silent_ends(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    block: Callable[[Pool], AbstractAsyncContextManager[Connection]],
) -> None:
    monkeypatch.setattr(pools, "COMMAND_TIMEOUT_SECONDS", 0.2)
    parts = urlsplit(database_url)
    [folder] = parse_qs(parts.query)["host"]
    async with TcpProxy(f"{folder}/.s.PGSQL.5432").running() as proxy:
        url = f"postgresql://postgres@127.0.0.1:{proxy.port}{parts.path}?sslmode=disable"
        settings = DatabaseSettings(_env_file=None, database_url=url)  # type: ignore[call-arg]
        started = asyncio.Event()

        async def wait_for_statement(pool: Pool) -> None:
            async with block(pool) as conn:
                proxy.silent = True
                started.set()
                await conn.execute("SELECT pg_sleep(60)")

        async with await create_pool(settings) as pool:
            waiting = asyncio.create_task(wait_for_statement(pool))
            await started.wait()
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait({waiting})
            assert waiting.cancelled()
