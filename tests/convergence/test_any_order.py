"""Rule 3: any order, duplication and delay of events leaves the rows of in-order delivery."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID

from aiohttp.test_utils import TestClient, TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mpanel_billing.database.pool import Pool
from mpanel_billing.http import keys
from mpanel_billing.http.app import create_app
from mpanel_billing.mirror.refetch import fetch_and_apply, refetch
from tests import stripe_objects as made
from tests.convergence.lifecycles import LIVES, Life, disordered, live
from tests.convergence.truth import create_truth
from tests.inbox import Inbox
from tests.service import WEBHOOK_SECRET, AppClient, make_settings

EXAMPLES = int(os.environ.get("CONVERGENCE_EXAMPLES", "300"))
CONNECTIONS = 4
WEBHOOK = "/api/webhooks/stripe"

MIRRORED = {
    "subscriptions": """
        SELECT stripe_subscription_id, status, stripe_status, stripe_customer_id, currency, amount,
            price, billing_cycle, next_due_date, current_period_start, current_period_end,
            trial_end, cancel_at_period_end, canceled_at, ended_at, collection_paused,
            initial_payment_settled, stripe_payment_intent_id, checkout_session_id
        FROM subscriptions WHERE stripe_customer_id LIKE $1""",
    "items": """
        SELECT i.stripe_subscription_item_id, i.stripe_price_id, i.quantity, i.unit_amount,
            i.current_period_start, i.current_period_end, s.stripe_subscription_id
        FROM subscription_items AS i JOIN subscriptions AS s ON s.id = i.subscription_id
        WHERE s.stripe_customer_id LIKE $1""",
    "invoices": """
        SELECT i.stripe_invoice_id, i.status, i.stripe_status, i.amount_due, i.amount_paid,
            i.amount_remaining, i.total, i.attempt_count, i.paid_date, i.period_start,
            i.period_end, i.stripe_payment_intent_id, s.stripe_subscription_id
        FROM invoices AS i LEFT JOIN subscriptions AS s ON s.id = i.subscription_id
        WHERE i.stripe_customer_id LIKE $1""",
    "payments": """
        SELECT stripe_invoice_payment_id, stripe_invoice_id, stripe_payment_intent_id, status,
            amount_paid
        FROM invoice_payments WHERE stripe_invoice_id LIKE 'in' || substr($1, 4)""",
    "sessions": """
        SELECT c.stripe_session_id, c.attempt, c.status, c.payment_status
        FROM checkout_sessions AS c JOIN subscriptions AS s ON s.id = c.subscription_id
        WHERE s.stripe_customer_id LIKE $1""",
    "work": """
        SELECT w.inputs, s.stripe_subscription_id
        FROM provisioning_work AS w JOIN subscriptions AS s ON s.id = w.subscription_id
        WHERE s.stripe_customer_id LIKE $1""",
}


@dataclass
class World:
    """The real app over HTTP, and Stripe's truth behind it."""

    client: AppClient
    objects: dict[str, Mapping[str, Any]]
    numbers: Any = field(default_factory=lambda: count(1))

    @property
    def pool(self) -> Pool:
        return self.client.app[keys.POOL]

    async def live(self, plans: Sequence[Mapping[str, Any]], name: str) -> list[Life]:
        """Live all lives under names that start with `name`."""
        return [
            live(plan, f"{name}x{number}", await self._order(plan, f"{name}x{number}"))
            for number, plan in enumerate(plans)
        ]

    async def _order(self, plan: Mapping[str, Any], name: str) -> UUID | None:
        if not plan["ordered"]:
            return None
        return await Inbox(self.pool).order(f"cus_{name}", f"cs_{name}_1")

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

    async def rest(self) -> None:
        """Ask Stripe about whatever is still open."""
        gateway = self.client.app[keys.GATEWAY]
        while wishes := await self.pool.fetch("SELECT object_id FROM stripe_refetches"):
            for wish in wishes:
                await refetch(self.pool, gateway, wish["object_id"], livemode=False)

    async def repair(self, missed: Sequence[Mapping[str, Any]]) -> None:
        """Fetch the objects of events that never came."""
        gateway = self.client.app[keys.GATEWAY]
        for event in missed:
            about = event["data"]["object"]
            await fetch_and_apply(self.pool, gateway, about["object"], about["id"], livemode=False)

    async def rows(self, name: str) -> dict[str, list[tuple[Any, ...]]]:
        """Return every mirrored row of the lives under a name, without that name."""
        return {
            table: sorted(
                tuple(str(value).replace(name, "*") for value in row)
                for row in await self.pool.fetch(query, f"cus\\_{name}x%")
            )
            for table, query in MIRRORED.items()
        }


@asynccontextmanager
async def running_world(database_url: str) -> AsyncIterator[World]:
    objects: dict[str, Mapping[str, Any]] = {}
    async with TestServer(create_truth(objects)) as truth:
        app = create_app(
            make_settings(database_url=database_url, stripe_api_base=str(truth.make_url("/")))
        )
        async with TestClient(TestServer(app)) as client:
            yield World(client, objects)


async def compare(world: World, plans: Sequence[Mapping[str, Any]], chance: Any) -> None:
    """Live the same lives twice: told in order, and told in disorder; the rows are the same."""
    number = next(world.numbers)
    calm = await world.live(plans, f"calm{number}n")
    wild = await world.live(plans, f"wild{number}n")
    for life in (*calm, *wild):
        world.objects.update(life.objects)
    for life in calm:
        await world.deliver(life.events)
    await world.rest()

    events = [event for life in wild for event in life.events]
    dropped = chance.sample(events, chance.randint(0, min(2, len(events) - 1)))
    told = disordered([event for event in events if event not in dropped], chance)
    await asyncio.gather(*(world.deliver(told[n::CONNECTIONS]) for n in range(CONNECTIONS)))
    await world.repair(dropped)
    await world.rest()
    calm_rows, wild_rows = await world.rows(f"calm{number}n"), await world.rows(f"wild{number}n")
    for table in MIRRORED:
        assert wild_rows[table] == calm_rows[table], (table, [event["type"] for event in told])


def test_any_order_duplication_delay_and_loss_of_events_leaves_the_same_rows(
    database_url: str,
) -> None:
    with asyncio.Runner() as runner:
        context = running_world(database_url)
        world = runner.run(context.__aenter__())

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        )
        @given(plans=LIVES, chance=st.randoms(use_true_random=False))
        def lives_converge(plans: Sequence[Mapping[str, Any]], chance: Any) -> None:
            runner.run(compare(world, plans, chance))

        try:
            lives_converge()
        finally:
            runner.run(context.__aexit__(None, None, None))
