"""Worker processes that are killed while they work: the accounts end up as the mirror says.

The same model as in test_model.py, with real processes and SIGKILL instead of many stories.
PROVISIONING_KILLS asks for more stories than `make test` has time for.
"""

import asyncio
import json
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from mpanel_billing.provisioning.lease import LEASE_SECONDS
from mpanel_billing.worker.sweep import sweep
from tests.processes import ServiceProcess, running, service_environment
from tests.provisioning.actions import Actions
from tests.provisioning.clocked_worker import CLOCK_FILE, ShiftedClock
from tests.provisioning.harness import IDS, Harness, open_harness
from tests.provisioning.invariants import Invariants
from tests.provisioning.mirror_model import ADDONS, PLANS

STORIES = int(os.environ.get("PROVISIONING_KILLS", "1"))
WORKERS = 2
ROUNDS = 1

_COMMAND = (sys.executable, "-m", "tests.provisioning.clocked_worker")
_PATIENCE_SECONDS = 45
_LOOK_SECONDS = 0.5
_MOST_SWEEPS = 60

_BUSY = """
SELECT EXISTS (
    SELECT FROM pgqueuer
    WHERE entrypoint = 'provision'
      AND (status = 'picked' OR execute_after <= now() OR attempts > 0)
)
"""
"""Whether a job runs, could run, or found the work leased and comes back soon."""


@pytest.mark.parametrize("seed", range(STORIES))
async def test_killed_workers_leave_the_accounts_as_the_mirror_says(
    database_url: str, tmp_path: Path, seed: int
) -> None:
    clock_file = tmp_path / "clock"
    async with (
        open_harness(database_url, ShiftedClock(clock_file)) as harness,
        listening(database_url) as changed,
        AsyncExitStack() as processes,
    ):
        await harness.clean()
        fleet = Fleet(harness, clock_file, processes)
        checks = Invariants(harness)
        story = Story(harness, random.Random(seed))
        for id_ in IDS:
            await story.actions.sell(id_, story.chance.choice(PLANS))
            await story.actions.pay_first(id_)
        for _ in range(ROUNDS):
            await fleet.fill_up()
            fleet.kill_one_at(story.chance.randint(1, 5))
            await story.happens()
            await work_until_rest(harness, changed)
            await checks.at_rest()
        assert fleet.killed == ROUNDS
        await checks.all_done()


@dataclass
class Story:
    """Random changes of the subscriptions."""

    harness: Harness
    chance: random.Random
    actions: Actions = field(init=False)

    def __post_init__(self) -> None:
        self.actions = Actions(self.harness)

    async def happens(self) -> None:
        """Give every subscription something to be done, then wait until days have passed."""
        self.harness.server.misbehaviours.extend(
            self.chance.choices(["500", "500_after", "cut_after", "forget"], k=2)
        )
        for id_ in IDS:
            plan, addon = self.chance.choice(PLANS), self.chance.choice(ADDONS)
            await self.actions.change(id_, plan, Counter({addon: self.chance.randint(1, 3)}))
            await self.chance.choice(self.actions.moves_of_money(id_))(id_)
            if self.chance.random() < 0.3:
                await self.actions.hold_or_lift(id_)


@dataclass
class Fleet:
    """Worker processes, one of which is killed now and then."""

    harness: Harness
    clock_file: Path
    processes: AsyncExitStack
    workers: list[ServiceProcess] = field(default_factory=list)
    killed: int = 0
    _orders: int = 0

    async def fill_up(self) -> None:
        """Start as many as have been killed."""
        missing = WORKERS - len(self.workers)
        environment = {
            **service_environment(self.harness.database_url, "http://127.0.0.1:1"),
            "PROVISIONING_SERVICES": json.dumps(self.harness.services(0.4)),
            CLOCK_FILE: str(self.clock_file),
        }
        starting = [
            self.processes.enter_async_context(running(_COMMAND, "worker ready", environment))
            for _ in range(missing)
        ]
        for start in starting:
            self.workers.append(await start)

    def kill_one_at(self, order: int) -> None:
        """Kill one at the n-th time that an order comes in or was carried out, from now on."""
        self._orders = order
        self.harness.server.watch = self._count

    def _count(self) -> None:
        self._orders -= 1
        if self._orders == 0:
            self.workers.pop(0).process.kill()
            self.killed += 1
            self.harness.clock.advance(timedelta(seconds=LEASE_SECONDS + 1))


async def work_until_rest(harness: Harness, changed: asyncio.Event) -> None:
    """Let the processes work, and the clock move on to what is due, until only far moments are."""
    for _ in range(_MOST_SWEEPS):
        await sweep(harness.pool, harness.clock)
        await wait_until_idle(harness, changed)
        harness.clock.advance(timedelta(seconds=LEASE_SECONDS + 1))
        if not await harness.move_on():
            return
    raise AssertionError("it does not come to rest")


async def wait_until_idle(harness: Harness, changed: asyncio.Event) -> None:
    """Wait until no job is left; those of killed workers are taken over after a while."""
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while await harness.pool.fetchval(_BUSY):
            changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(changed.wait(), _LOOK_SECONDS)


@asynccontextmanager
async def listening(database_url: str) -> AsyncIterator[asyncio.Event]:
    """Set the event whenever the queue changes."""
    changed = asyncio.Event()
    conn = await asyncpg.connect(database_url)
    try:
        await conn.add_listener("ch_pgqueuer", lambda *_: changed.set())
        yield changed
    finally:
        await conn.close()
