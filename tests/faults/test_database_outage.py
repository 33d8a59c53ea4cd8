"""PostgreSQL goes away under load, and comes back."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mpanel_billing.database.migrations import migrate
from mpanel_billing.dev.postgres import EmbeddedPostgres
from tests.faults.convergence import check_converged
from tests.faults.deployment import Deployment, open_deployment
from tests.faults.load import under_load
from tests.faults.reliability_document import ReliabilityDocument
from tests.postgres import MakeServer

AWAY_SECONDS = 10


@pytest.fixture
def own_postgres(
    run_dir: Path, worker_id: str, make_server: MakeServer
) -> Iterator[EmbeddedPostgres]:
    """A server that this test may stop."""
    with make_server(run_dir / f"faults-{worker_id}") as server:
        yield server


@pytest.fixture
async def deployment(own_postgres: EmbeddedPostgres) -> AsyncIterator[Deployment]:
    own_postgres.create_database("billing")
    await migrate(own_postgres.url("billing"))
    async with open_deployment(own_postgres.url("billing")) as opened:
        yield opened


async def test_a_database_that_was_away_for_ten_seconds(
    deployment: Deployment, own_postgres: EmbeddedPostgres, document: ReliabilityDocument
) -> None:
    web, worker = await deployment.start_web(), await deployment.start_worker()
    async with under_load(deployment) as load:
        waiting = await deployment.buy()  # its webhooks may be under way when the database stops
        await asyncio.to_thread(own_postgres.stop)
        assert await deployment.order_once() == 503
        await asyncio.sleep(AWAY_SECONDS)
        await asyncio.to_thread(own_postgres.start)
        back = time.monotonic()
        await deployment.wait_for_row(
            "SELECT 1 FROM provisioning_log WHERE created_at > pg_postmaster_start_time()"
        )
        first_job = time.monotonic() - back
        await deployment.wait_until_active(waiting)
    first_answer = deployment.responses.seconds_until_ok(back)
    await check_converged(deployment, load)
    assert (web.process.returncode, worker.process.returncode) == (None, None)
    assert deployment.responses.statuses() <= {200, 503}
    assert first_answer < 1
    assert first_job < 5
    document.record(
        f"PostgreSQL stopped for {AWAY_SECONDS} s under load",
        deployment.responses,
        recovered=f"no restart needed: first response {first_answer:.2f} s, first job "
        f"{first_job:.2f} s after PostgreSQL is back",
    )
