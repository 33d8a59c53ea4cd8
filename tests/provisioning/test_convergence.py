"""Whatever happens in whatever order: at rest, the outside world is what the mirror says."""

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpanel_billing.database.pool import create_pool
from mpanel_billing.errors import ConflictError
from mpanel_billing.provisioning import operations
from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.provisioning.lease import LeaseBusyError, LeaseLostError
from mpanel_billing.settings import DatabaseSettings
from tests.provisioning.conftest import GRACE, Scene, open_scene
from tests.provisioning.world import World

PLANS = {
    "starter": ("starter_monthly_usd",),
    "premium": ("premium_monthly_usd",),
    "with backups": ("starter_monthly_usd", "addon-backups-daily_monthly_usd"),
    "elsewhere": ("something_else",),
}
STATUSES = ["trialing", "active", "past_due", "unpaid", "paused", "canceled"]

actions = st.one_of(
    st.tuples(st.just("stripe"), st.sampled_from(STATUSES[:-1]), st.sampled_from(sorted(PLANS))),
    st.tuples(st.just("stripe"), st.sampled_from(STATUSES), st.sampled_from(sorted(PLANS))),
    st.tuples(st.just("paid")),
    st.tuples(st.just("run")),
    st.tuples(st.just("run")),
    st.tuples(st.just("killed run"), st.booleans()),
    st.tuples(st.just("overtaken run")),
    st.tuples(
        st.just("misbehave"),
        st.sampled_from(["hosting", "email", "backup"]),
        st.sampled_from(["fail_before", "fail_after", "refuse"]),
    ),
    st.tuples(st.just("hold")),
    st.tuples(st.just("lift")),
    st.tuples(st.just("retry")),
    st.tuples(st.just("time passes")),
)

_numbers = itertools.count(1)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(actions, min_size=3, max_size=25), st.booleans())
def test_the_world_converges_to_the_mirror(
    database_url: str, steps: list[tuple[str, ...]], patient: bool
) -> None:
    asyncio.run(_play(database_url, steps, patient=patient))


async def _play(database_url: str, steps: Sequence[tuple[str, ...]], *, patient: bool) -> None:
    given_settings = DatabaseSettings(_env_file=None, database_url=database_url)  # type: ignore[call-arg]
    world = World()
    async with await create_pool(given_settings) as pool, open_scene(pool, world) as scene:
        if not patient:
            policy = Policy(GRACE, timedelta(0))
            scene.provisioning = replace(scene.provisioning, policy=policy)
        story = _Story(scene, f"sub_model_{next(_numbers)}")
        await scene.tell("active", id_=story.id)
        for name, *more in steps:
            await story.do(name, *more)
        await story.come_to_rest()
        await story.check(patient=patient)


class _Story:
    """One subscription, and what happens to it."""

    def __init__(self, scene: Scene, id_: str) -> None:
        self.scene = scene
        self.world = scene.world
        self.id = id_

    async def do(self, name: str, *more: object) -> None:
        pool, id_ = self.scene.pool, await self.scene.id_of(self.id)
        match name, *more:
            case "stripe", str(status), str(plan):
                ended = {"ended_at": 1_790_000_000} if status == "canceled" else {}
                await self.scene.tell(status, *PLANS[plan], id_=self.id, **ended)
            case ("paid",):
                await self.scene.tell_invoice("paid", f"in_{self.id}", subscription=self.id)
            case ("run",):
                await self._run()
            case "killed run", bool(carried_out):
                await self._kill_a_run(carried_out=carried_out)
            case ("overtaken run",):
                await self._overtake_a_run()
            case "misbehave", str(product_type), fault:
                self.world.misbehave(product_type, fault)  # type: ignore[arg-type]
            case ("retry",):
                await operations.retry(pool, id_)
            case ("time passes",):
                await self.scene.make_due()
            case "hold" | "lift", *_:
                await self._operate(name)

    async def come_to_rest(self) -> None:
        self.world.faults.clear()
        await self.scene.kill_run()
        await operations.retry(self.scene.pool, await self.scene.id_of(self.id))
        outcome = await self.scene.run(self.id)
        assert outcome.done, outcome

    async def check(self, *, patient: bool) -> None:
        rows = await self.scene.pool.fetch(
            "SELECT product_type, desired, actual, desired_resources, generation "
            "FROM tenant_services WHERE subscription_id = $1",
            await self.scene.id_of(self.id),
        )
        accounts = self.world.of(await self.scene.id_of(self.id))
        assert accounts.keys() <= {row["product_type"] for row in rows}
        for row in rows:
            there = accounts.get(row["product_type"], "gone")
            allowed = {"active": {"active"}, "suspended": {"suspended", "gone"}}
            assert there in allowed.get(row["desired"], {"gone"}), (dict(row), there)
        for account in self.world.accounts:
            row = next(row for row in rows if row["product_type"] == account.product_type)
            if row["desired"] == "active":
                assert account.resources == row["desired_resources"]
        if patient:
            assert self.world.terminated == []

    async def _operate(self, name: str) -> None:
        pool, id_ = self.scene.pool, await self.scene.id_of(self.id)
        try:
            if name == "hold":
                await operations.suspend(pool, id_, reason="abuse", operator="grace")
            else:
                await operations.lift(pool, id_, operator="grace")
        except ConflictError:
            pass  # it is held, or is not

    async def _run(self) -> None:
        await self.scene.run(self.id)

    async def _start(self) -> asyncio.Task[None]:
        """Start a run, and stop it where the driver is at work, or at its end."""
        self.world.gate.clear()
        self.world.entered.clear()
        run = asyncio.create_task(self._run())
        entered = asyncio.create_task(self.world.entered.wait())
        await asyncio.wait({run, entered}, return_when=asyncio.FIRST_COMPLETED)
        entered.cancel()
        return run

    async def _kill_a_run(self, *, carried_out: bool) -> None:
        run = await self._start()
        if carried_out and not run.done():
            self.world.carry_out(self.world.calls[-1])
        run.cancel()
        await _end(run)
        self.world.gate.set()
        await self.scene.kill_run()

    async def _overtake_a_run(self) -> None:
        """Let a run fall asleep at the driver, and another take over, before it wakes up."""
        run = await self._start()
        if not run.done():
            await self._contend()
            await self.scene.kill_run()
        self.world.gate.set()
        other = asyncio.create_task(self._run())
        await _end(run, other)

    async def _contend(self) -> None:
        try:
            await self._run()
        except LeaseBusyError:
            return
        raise AssertionError("two runs at once")


async def _end(*runs: asyncio.Task[None]) -> None:
    """Let runs end as they may: well, stopped, or told that another has the work."""
    for outcome in await asyncio.gather(*runs, return_exceptions=True):
        ends = (asyncio.CancelledError, LeaseBusyError, LeaseLostError)
        assert outcome is None or isinstance(outcome, ends), outcome
