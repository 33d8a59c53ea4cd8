"""Two requests for one order run its statements at once: each locks the attempt first."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import pytest

from mpanel_billing.checkout.repository import orders
from mpanel_billing.checkout.repository.orders import Attempt
from mpanel_billing.database.pool import Pool
from mpanel_billing.database.queries import Connection
from mpanel_billing.stripe_gateway.hosted_pages import OpenedSession
from tests.inbox import Inbox
from tests.waiting import until_blocking

Write = Callable[[Connection, Attempt], Awaitable[object]]


async def store_customer(conn: Connection, attempt: Attempt) -> None:
    await orders.store_stripe_customer(conn, attempt, "cus_2", None)


async def open_page(conn: Connection, attempt: Attempt) -> bool:
    page = OpenedSession("cs_2", "https://checkout.test/", "unpaid", datetime.now(UTC))
    return await orders.open_attempt(conn, attempt, page)


@pytest.mark.parametrize("write", [store_customer, open_page])
async def test_a_statement_that_waits_for_the_attempt_holds_no_lock_of_the_subscription(
    pool: Pool, database_url: str, inbox: Inbox, write: Write
) -> None:
    order = await inbox.order(session=None)
    attempt = await _attempt_of(pool, order)
    other = await asyncpg.connect(database_url)
    async with pool.acquire() as conn:
        holding = other.transaction()
        await holding.start()
        await other.execute("SELECT 1 FROM checkout_sessions FOR UPDATE")
        writing = asyncio.create_task(_run(write, conn, attempt))
        await until_blocking(other, pool)
        await other.execute("SELECT 1 FROM subscriptions FOR UPDATE NOWAIT")
        await holding.rollback()
        await writing
    await other.close()


async def _run(write: Write, conn: Connection, attempt: Attempt) -> None:
    await write(conn, attempt)


async def _attempt_of(pool: Pool, order: UUID) -> Attempt:
    async with pool.acquire() as conn:
        attempt = await orders.get_attempt(conn, order, 1)
    assert attempt is not None
    return attempt
