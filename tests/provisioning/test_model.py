"""Whatever happens in whatever order: at rest, the outside world is what Stripe and operators said.

Stripe's transitions, operators, a service that misbehaves over HTTP, workers that die at any
statement and a clock that jumps are interleaved; mirror_model.py says what has to come of it.
PROVISIONING_EXAMPLES asks for more stories than `make test` has time for.
"""

import asyncio
import os
from collections import Counter
from contextlib import suppress
from datetime import timedelta

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from mpanel_billing.errors import NotFoundError
from mpanel_billing.provisioning import operations
from tests.provisioning.actions import Actions
from tests.provisioning.after_end import AfterEnd
from tests.provisioning.after_sale import AfterSale
from tests.provisioning.harness import (
    GRACE,
    IDS,
    RETENTION,
    DisputePolicy,
    Harness,
    Worker,
    open_harness,
)
from tests.provisioning.invariants import Invariants
from tests.provisioning.mirror_model import ADDONS, PLANS, TYPES
from tests.provisioning.reference_server import Misbehaviour

EXAMPLES = int(os.environ.get("PROVISIONING_EXAMPLES", "8"))

MISBEHAVIOURS: tuple[Misbehaviour, ...] = (
    "500",
    "429",
    "422",
    "garbage",
    "cut",
    "park",
    "hang_after",
    "500_after",
    "cut_after",
    "forget",
)
LEAPS = (timedelta(seconds=16), timedelta(minutes=5), timedelta(hours=2), timedelta(days=8))
AROUND = timedelta(hours=2)

whose = st.sampled_from(IDS)
plans = st.sampled_from(PLANS)

HAPPENINGS = (
    *("money", "money", "money", "change", "change", "other_items", "cancel", "hold", "skip"),
    *("after_sale", "after_sale", "after_sale", "after_sale", "after_sale"),
    *("after_end", "after_end", "after_end", "after_end", "after_end"),
    *("misbehave", "misbehave", "work", "work", "work", "work", "sleep", "sleep"),
    *("leap", "deadline", "rest", "name", "name", "name", "name", "name"),
)
"""The methods of a story, the frequent ones more than once."""


def test_the_world_is_what_the_mirror_says(database_url: str) -> None:
    with asyncio.Runner() as runner:
        opening = open_harness(database_url)
        harness = runner.run(opening.__aenter__())
        try:
            run_state_machine_as_test(
                lambda: Story(runner, harness),
                settings=settings(
                    max_examples=EXAMPLES,
                    stateful_step_count=30,
                    deadline=None,
                    # the same stories in each `make test`; new ones in `make soak`
                    derandomize="PROVISIONING_EXAMPLES" not in os.environ,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                    # a failure tells its whole story; to shorten it would take minutes
                    phases=set(Phase) - {Phase.shrink},
                ),
            )
        finally:
            runner.run(opening.__aexit__(None, None, None))


class Story(RuleBasedStateMachine):
    """A story of some subscriptions, which is checked whenever it rests, and at its end."""

    def __init__(self, runner: asyncio.Runner, harness: Harness) -> None:
        super().__init__()
        self._do = runner.run
        self._harness = harness
        self._actions = Actions(harness)
        self._after_end = AfterEnd(self._actions)
        self._after_sale = AfterSale(self._actions)
        self._checks = Invariants(harness)
        self._sleepers: list[tuple[Worker, asyncio.Task[None]]] = []

    @initialize(
        plans=st.lists(plans, min_size=len(IDS), max_size=len(IDS)),
        trial=st.booleans(),
        begun=st.integers(0, len(IDS)),
        ended=st.integers(0, len(IDS)),
        policies=st.tuples(
            st.booleans(), st.sampled_from(("flag", "suspend", "suspend", "cancel"))
        ),
    )
    def begin(
        self,
        plans: list[str],
        trial: bool,
        begun: int,
        ended: int,
        policies: tuple[bool, DisputePolicy],
    ) -> None:
        """Sell one of each plan; some are paid, and have their accounts, before the story.

        Of these, some have ended with a debt.
        """
        pauses_suspend, disputes = policies
        self._harness.set_policy(suspend_paused_collection=pauses_suspend, disputes=disputes)
        self._do(self._begin(plans, "trialing" if trial else "incomplete", begun, ended))

    @rule(what=st.sampled_from(HAPPENINGS), id_=whose, data=st.data())
    def happens(self, what: str, id_: str, data: st.DataObject) -> None:
        """Let something happen: one rule, so that every story may have all of it."""
        customers = {"after_end", "deadline", "name"}
        one = id_ if what in customers else self._harness.line(id_)[-1]
        self._do(getattr(self, what)(one, data))

    def teardown(self) -> None:
        self._do(self._end())

    async def _begin(self, plans: list[str], status: str, begun: int, ended: int) -> None:
        await self._harness.clean()
        for id_, plan in zip(IDS, plans, strict=True):
            await self._actions.sell(id_, plan, status)
        for id_ in IDS[:begun]:
            await self._actions.pay_first(id_)
        await self._harness.work_until_rest()
        for id_ in IDS[: min(begun, ended)]:
            await self._actions.fall_past_due(id_)
            await self._actions.fall_past_due(id_)
            await self._actions.cancel(id_, at_period_end=False)

    # What Stripe tells.

    async def money(self, id_: str, data: st.DataObject) -> None:
        if self._goes_on(id_):
            move = data.draw(st.sampled_from(self._actions.moves_of_money(id_)))
            await move(id_)

    async def change(self, id_: str, data: st.DataObject) -> None:
        """Change the plan, or an add-on."""
        if not self._goes_on(id_):
            return
        bought = self._harness.bought[id_]
        plan, addons = bought.plan, bought.addons
        if data.draw(st.booleans()):
            plan = data.draw(plans)
        else:
            addon = data.draw(st.sampled_from(ADDONS))
            addons = Counter({**addons, addon: data.draw(st.integers(0, 2))})
        await self._actions.change(id_, plan, addons)

    async def other_items(self, id_: str, data: st.DataObject) -> None:
        """Give it negotiated prices, or an item that the catalogue does not know; or end that."""
        if self._goes_on(id_):
            actions = (self._actions.negotiate, self._actions.add_or_remove_unknown_item)
            await data.draw(st.sampled_from(actions))(id_)

    async def cancel(self, id_: str, data: st.DataObject) -> None:
        if self._goes_on(id_):
            await self._actions.cancel(id_, at_period_end=data.draw(st.booleans()))

    async def after_sale(self, id_: str, data: st.DataObject) -> None:
        """Dispute, give back, pause to a date, begin a term or plan a change."""
        if moves := self._after_sale.moves(id_):
            await data.draw(st.sampled_from(moves))(id_)

    async def name(self, id_: str, data: st.DataObject) -> None:
        """Choose another name in place of the one that the first order has lost; pay for it."""
        await self._after_sale.name(id_)
        if data.draw(st.booleans()):
            await self._after_sale.name(id_)

    async def after_end(self, id_: str, data: st.DataObject) -> None:
        """Pay late, or come back; settle what was paid late, or revive the customer."""
        ended = data.draw(st.sampled_from(self._harness.line(id_)))
        if moves := self._after_end.moves(ended):
            await data.draw(st.sampled_from(moves))(ended)

    def _goes_on(self, id_: str) -> bool:
        return self._harness.bought[id_].ended_at is None

    # What operators do.

    async def hold(self, id_: str, _: st.DataObject) -> None:
        await self._actions.hold_or_lift(id_)

    async def skip(self, id_: str, data: st.DataObject) -> None:
        """Skip a service; all of them are retried if it was, or was refused."""
        product_type = data.draw(st.sampled_from(TYPES))
        subscription = await self._harness.id_of(id_)
        made_for = {type_: await self._harness.made_for(id_, type_) for type_ in TYPES}
        pool, refused = self._harness.pool, self._harness.server.refused
        if (made_for[product_type], product_type) in refused:
            await operations.retry(pool, subscription)
            for type_ in TYPES:
                refused.pop((made_for[type_], type_), None)
            return
        with suppress(NotFoundError):
            await operations.skip(pool, subscription, product_type)
            self._harness.server.note_refusal(made_for[product_type], product_type)

    # What goes wrong, and what time does.

    async def misbehave(self, _: str, data: st.DataObject) -> None:
        wrong = st.lists(st.sampled_from(MISBEHAVIOURS), min_size=1, max_size=3)
        self._harness.server.misbehaviours.extend(data.draw(wrong))

    async def work(self, _: str, data: st.DataObject) -> None:
        """Do the next job; some workers are killed at their n-th statement or order."""
        kill_after = data.draw(st.none() | st.integers(1, 16))
        subscription = await self._harness.next_job()
        if subscription is not None:
            async with Worker(self._harness) as worker:
                self._harness.server.watch = worker.hurt
                await worker.run(subscription, kill_after)
                self._harness.server.watch = _nothing

    async def sleep(self, _: str, __: st.DataObject) -> None:
        """Let a worker hang at the service, while everything else goes on; or wake it up."""
        if self._sleepers:
            await self._wake_up()
        elif (subscription := await self._harness.next_job()) is not None:
            worker = await Worker(self._harness, patient=True).__aenter__()
            run = await self._harness.server.park(worker.run(subscription))
            self._sleepers.append((worker, run))

    async def leap(self, _: str, data: st.DataObject) -> None:
        self._harness.clock.advance(data.draw(st.sampled_from(LEAPS)))

    async def deadline(self, id_: str, data: st.DataObject) -> None:
        """Look how it is a little before a grace or retention period ends, and after."""
        clock = self._harness.clock
        id_ = data.draw(st.sampled_from(self._harness.line(id_)))
        for moment in sorted(self._harness.bought[id_].deadlines(GRACE, RETENTION)):
            for at in (moment - AROUND, moment + AROUND):
                if at > clock() and data.draw(st.booleans()):
                    clock.moment = at
                    await self._rest()

    async def rest(self, _: str, __: st.DataObject) -> None:
        await self._rest()

    async def _rest(self) -> None:
        self._harness.server.misbehaviours.clear()
        await self._wake_up()
        await self._after_sale.end_disputed()
        await self._harness.work_until_rest()
        await self._checks.at_rest()

    async def _wake_up(self) -> None:
        """Let parked orders be carried out, late, and the worker that hung go on.

        Its driver waits as long as it takes, so the service answers: it has hung already.
        """
        misbehaviours = self._harness.server.misbehaviours
        answered = [wrong for wrong in misbehaviours if wrong != "hang_after"]
        misbehaviours.clear()
        misbehaviours.extend(answered)
        self._harness.server.release()
        while self._sleepers:
            worker, run = self._sleepers.pop()
            while not run.done():
                await asyncio.wait({run}, timeout=0.05)
                self._harness.server.release()  # its next order may have been parked too
            await worker.end()
            run.result()

    async def _end(self) -> None:
        """Rest once more, after an operator has retried everything: no more exceptions."""
        self._harness.server.misbehaviours.clear()
        await self._wake_up()
        for id_ in self._harness.bought:
            await operations.retry(self._harness.pool, await self._harness.id_of(id_))
        self._harness.server.refused.clear()
        await self._rest()
        await self._checks.all_done()


def _nothing() -> None:
    pass
