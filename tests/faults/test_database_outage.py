"""PostgreSQL goes away under load, and comes back."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mpanel_billing.database.migrations import migrate
from mpanel_billing.dev.postgres import EmbeddedPostgres
from tests.faults.convergence import check_converged
from tests.faults.ledger import Ledger
from tests.faults.load import under_load
from tests.faults.town import Town, open_town

AWAY_SECONDS = 10


@pytest.fixture
def own_postgres(run_dir: Path, worker_id: str) -> Iterator[EmbeddedPostgres]:
    """A server that this test may stop."""
    with EmbeddedPostgres(run_dir / f"faults-{worker_id}", durable=False) as server:
        yield server


@pytest.fixture
async def town(own_postgres: EmbeddedPostgres) -> AsyncIterator[Town]:
    own_postgres.create_database("billing")
    await migrate(own_postgres.url("billing"))
    async with open_town(own_postgres.url("billing")) as opened:
        yield opened


async def test_a_database_that_was_away_for_ten_seconds(
    town: Town, own_postgres: EmbeddedPostgres, ledger: Ledger
) -> None:
    web, worker = await town.start_web(), await town.start_worker()
    async with under_load(town) as load:
        waiting = await town.buy()  # its webhooks may be under way when the database stops
        await asyncio.to_thread(own_postgres.stop)
        assert await town.try_to_order() == 503
        await asyncio.sleep(AWAY_SECONDS)
        await asyncio.to_thread(own_postgres.start)
        back = time.monotonic()
        await town.wait_for_row(
            "SELECT 1 FROM provisioning_log WHERE created_at > pg_postmaster_start_time()"
        )
        first_job = time.monotonic() - back
        await town.follow(waiting)
    first_answer = town.journal.seconds_until_good(back)
    await check_converged(town, load)
    assert (web.process.returncode, worker.process.returncode) == (None, None)
    assert town.journal.statuses() <= {200, 503}
    assert first_answer < 1
    assert first_job < 5
    ledger.enter(
        f"PostgreSQL stopped for {AWAY_SECONDS} s under load",
        town.journal,
        recovered=f"no restart needed: first response {first_answer:.2f} s, first job "
        f"{first_job:.2f} s after PostgreSQL is back",
    )
