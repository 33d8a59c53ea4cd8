"""Connections run out: whoever cannot be served is told so, and soon."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mpanel_billing.database.pool import ACQUIRE_TIMEOUT_SECONDS, LOCK_TIMEOUT_SECONDS
from tests.faults.convergence import check_converged
from tests.faults.journal import Answer
from tests.faults.ledger import Ledger
from tests.faults.load import under_load
from tests.faults.town import Town, looks

CONNECTIONS = "2"


async def test_a_pool_whose_connections_all_wait_for_a_lock(town: Town, ledger: Ledger) -> None:
    await town.start_web(DATABASE_POOL_MAX=CONNECTIONS)
    await town.start_worker()
    async with under_load(town, buyers=4, senders=4) as load, _locked_tables(town):
        assert await town.try_to_order() == 503
        async for _ in looks(30):
            if "event" in {answer.kind for answer in _refused(town)}:
                break
        ready, _ = await town.ask("page", "GET", "/api/health/ready")
        live, _ = await town.ask("page", "GET", "/api/health/live")
    await check_converged(town, load)
    refused = _refused(town)
    assert live == 200
    assert ready in {200, 503}
    assert town.journal.statuses() == {200, 503}
    assert "event" in {answer.kind for answer in refused}
    assert all(answer.retry_after for answer in refused if answer.kind != "page")
    # an event may wait for those before it, once for a connection and once for the lock
    assert town.journal.slowest(503) < 2 * (ACQUIRE_TIMEOUT_SECONDS + LOCK_TIMEOUT_SECONDS)
    ledger.enter(
        f"all {CONNECTIONS} connections of the pool wait for a locked table",
        town.journal,
        recovered="no restart needed once the lock is released; slowest 503 after "
        f"{town.journal.slowest(503):.1f} s, `/api/health/live` stays 200",
    )


@asynccontextmanager
async def _locked_tables(town: Town) -> AsyncIterator[None]:
    async with town.pool.acquire() as holder, holder.transaction():
        await holder.execute("LOCK TABLE stripe_events, customers IN ACCESS EXCLUSIVE MODE")
        yield


def _refused(town: Town) -> list[Answer]:
    return [answer for answer in town.journal.answers if answer.status == 503]
