"""The primary dies under load, and a synchronous standby takes its place."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mpanel_billing.database.migrations import migrate, status
from tests.faults.convergence import check_converged
from tests.faults.deployment import Deployment, open_deployment
from tests.faults.load import under_load
from tests.faults.reliability_document import ReliabilityDocument
from tests.faults.replicated_postgres import ReplicatedPostgres, running_replicated_postgres

UNNOTICED_SECONDS = 2
"""How long it takes until the standby is promoted."""


@pytest.fixture
def replicated(run_dir: Path, worker_id: str) -> Iterator[ReplicatedPostgres]:
    folder = run_dir / f"replicated-{worker_id}"
    folder.mkdir()
    with running_replicated_postgres(folder) as running:
        yield running


@pytest.fixture
async def deployment(replicated: ReplicatedPostgres) -> AsyncIterator[Deployment]:
    await asyncio.to_thread(replicated.primary.create_database, "billing")
    await migrate(replicated.primary.url("billing"))
    await replicated.replicate()
    async with open_deployment(replicated.url("billing")) as opened:
        yield opened


async def test_a_standby_is_promoted(
    deployment: Deployment, replicated: ReplicatedPostgres, document: ReliabilityDocument
) -> None:
    assert await migrate(replicated.url("billing")) == []
    web, worker = await deployment.start_web(), await deployment.start_worker()
    async with under_load(deployment) as load:
        await load.wait_for_purchases(1)
        replicated.kill_primary()
        await asyncio.sleep(UNNOTICED_SECONDS)
        await replicated.promote()
        promoted = time.monotonic()
        await load.wait_for_purchases(2)
    await check_converged(deployment, load)
    assert all(one.applied for one in await status(replicated.url("billing")))
    assert (web.process.returncode, worker.process.returncode) == (None, None)
    assert deployment.responses.statuses() <= {200, 503}
    document.record(
        f"primary killed under load, synchronous standby promoted {UNNOTICED_SECONDS} s later",
        deployment.responses,
        recovered="no restart needed, because DATABASE_URL names both servers, after one that is "
        "silent: first response "
        f"{deployment.responses.seconds_until_ok(promoted):.2f} s after the promotion; none of "
        f"{len(load.acknowledged)} acknowledged events lost",
    )
