"""The primary dies under load, and a synchronous standby takes its place."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from mpanel_billing.database.migrations import migrate
from tests.faults.convergence import check_converged
from tests.faults.ledger import Ledger
from tests.faults.load import under_load
from tests.faults.pair import Pair, running_pair
from tests.faults.town import Town, open_town

UNNOTICED_SECONDS = 2
"""How long whoever watches over the servers takes to promote the standby."""


@pytest.fixture
def pair(run_dir: Path, worker_id: str) -> Iterator[Pair]:
    folder = run_dir / f"pair-{worker_id}"
    folder.mkdir()
    with running_pair(folder) as running:
        yield running


@pytest.fixture
async def town(pair: Pair) -> AsyncIterator[Town]:
    await asyncio.to_thread(pair.primary.create_database, "billing")
    await migrate(pair.primary.url("billing"))
    await pair.replicate()
    async with open_town(pair.url("billing")) as opened:
        yield opened


async def test_a_standby_is_promoted(town: Town, pair: Pair, ledger: Ledger) -> None:
    web, worker = await town.start_web(), await town.start_worker()
    async with under_load(town) as load:
        await load.reach(1)
        pair.kill_primary()
        await asyncio.sleep(UNNOTICED_SECONDS)
        await pair.promote()
        promoted = time.monotonic()
        await load.reach(2)
    await check_converged(town, load)
    assert (web.process.returncode, worker.process.returncode) == (None, None)
    assert town.journal.statuses() <= {200, 503}
    ledger.enter(
        f"primary killed under load, synchronous standby promoted {UNNOTICED_SECONDS} s later",
        town.journal,
        recovered="no restart needed, because DATABASE_URL names both servers: first response "
        f"{town.journal.seconds_until_good(promoted):.2f} s after the promotion; none of "
        f"{len(load.acknowledged)} acknowledged events lost",
    )
