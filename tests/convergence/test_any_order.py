"""Rule 3: any order, duplication and delay of events leaves the rows of in-order delivery.

mPanel is told of all that lasts, and of nothing else than in order.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.http import keys
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.revenue.service import fold_revenue
from tests import stripe_objects as made
from tests.convergence.lifecycles import LIVES, disordered
from tests.convergence.news import TOLD, check_news
from tests.convergence.rows import CATALOGUE, MIRRORED, live_all, mirrored_rows, run_refetches
from tests.convergence.stripe_stub import create_stripe_stub
from tests.revenue import shown_and_true_revenue
from tests.service import WEBHOOK_SECRET, AppClient, make_app, make_settings

EXAMPLES = int(os.environ.get("CONVERGENCE_EXAMPLES", "12"))
CONNECTIONS = 4
WEBHOOK = "/api/webhooks/stripe"


@dataclass
class World:
    """The real app over HTTP, with Stripe's true state behind it."""

    client: AppClient
    pool: Pool
    objects: dict[str, Mapping[str, Any]]
    numbers: Any = field(default_factory=lambda: count(1))

    async def deliver(self, events: Sequence[Mapping[str, Any]]) -> None:
        """Post events one after the other, as one connection of Stripe's."""
        for event in events:
            body = made.encoded(event)
            headers = {"Stripe-Signature": made.sign(body, WEBHOOK_SECRET)}
            answer = await self.client.post(WEBHOOK, data=body, headers=headers)
            content = await answer.json()
            assert answer.status == 200, content
            assert content["outcome"] != "failed", await self.pool.fetchval(
                "SELECT last_error FROM stripe_events WHERE id = $1", event["id"]
            )

    @property
    def mirror(self) -> Mirror:
        return self.client.app[keys.MIRROR]

    async def repair(self, missed: Sequence[Mapping[str, Any]]) -> None:
        """Fetch the objects of events that never came."""
        for event in missed:
            about = event["data"]["object"]
            await self.mirror.refresh(about["object"], about["id"])


@asynccontextmanager
async def running_world(database_url: str) -> AsyncIterator[World]:
    objects: dict[str, Mapping[str, Any]] = {}
    async with TestServer(create_stripe_stub(objects)) as truth:
        service = make_settings(database_url=database_url, stripe_api_base=str(truth.make_url("/")))
        async with (
            TestClient(TestServer(make_app(service))) as client,
            await create_pool(service) as pool,
        ):
            yield World(client, pool, objects)


async def compare(world: World, plans: Sequence[Mapping[str, Any]], chance: Any) -> None:
    """Deliver the events of the same lives in order and in disorder; the rows are the same."""
    number = next(world.numbers)
    calm = await live_all(world.pool, plans, f"calm{number}n")
    wild = await live_all(world.pool, plans, f"wild{number}n")
    for life in (*calm, *wild):
        world.objects.update(life.objects)
    for life in calm:
        await world.deliver(life.events)
    await run_refetches(world.mirror)

    events = [event for life in wild for event in life.events]
    dropped = chance.sample(events, chance.randint(0, min(2, len(events) - 1)))
    told = disordered([event for event in events if event not in dropped], chance)
    delivering = (world.deliver(told[n::CONNECTIONS]) for n in range(CONNECTIONS))
    await asyncio.gather(*delivering, fold_revenue(world.pool))
    await world.repair(dropped)
    await run_refetches(world.mirror)
    for table in MIRRORED:
        in_order = await mirrored_rows(world.pool, table, f"calm{number}n")
        in_disorder = await mirrored_rows(world.pool, table, f"wild{number}n")
        assert in_disorder == in_order, (table, [event["type"] for event in told])
    await check_news(world.pool, f"calm{number}n", f"wild{number}n", events)
    shown, true = await shown_and_true_revenue(world.pool)
    assert shown == true


def test_any_order_duplication_delay_and_loss_of_events_leaves_the_same_rows(
    database_url: str,
) -> None:
    with asyncio.Runner() as runner:
        context = running_world(database_url)
        world = runner.run(context.__aenter__())
        runner.run(world.pool.execute(CATALOGUE + ";" + TOLD))

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
            # four connections deliver no two times alike: nothing to shorten a failure by
            phases=set(Phase) - {Phase.shrink},
        )
        @given(plans=LIVES, chance=st.randoms(use_true_random=False))
        def lives_converge(plans: Sequence[Mapping[str, Any]], chance: Any) -> None:
            runner.run(compare(world, plans, chance))

        try:
            lives_converge()
            kept = runner.run(world.pool.fetchval("SELECT count(*) FROM stripe_events"))
            assert 0 < world.client.app[keys.EVENTS].fast_path_events < kept, "both paths are tried"
        finally:
            runner.run(context.__aexit__(None, None, None))
