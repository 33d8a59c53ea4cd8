"""Traffic: buyers who order, pay and wait for their tenants, and Stripe's events of renewals."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests import stripe_objects as made
from tests.faults.deployment import PAUSE_SECONDS, Deployment, polling

BUYERS = 2
SENDERS = 3
LAST_SECONDS = 60
"""How long unfinished work may take once no more is started."""

UNFINISHED = """
SELECT s.status, s.stripe_status, s.checkout_session_id, w.*
FROM subscriptions AS s
LEFT JOIN provisioning_work AS w ON w.subscription_id = s.id
WHERE s.status <> 'active'
"""

_numbers = itertools.count(1)


_IGNORE_DASHBOARD_PRICE = """
INSERT INTO billing_ignored_prices (stripe_price_id, reason, set_by)
VALUES ('price_1', 'made in the dashboard', 'tests')
ON CONFLICT DO NOTHING
"""


@dataclass
class Load:
    """The sessions bought, the events acknowledged, and the latest amounts they carried."""

    deployment: Deployment
    bought: list[str] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    amounts: dict[str, int] = field(default_factory=dict)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def buy(self) -> None:
        """Buy again and again, waiting for the tenant each time."""
        while not self.stopping.is_set():
            session_id = await self.deployment.buy()
            self.bought.append(session_id)
            await self.deployment.wait_until_active(session_id)

    async def send(self) -> None:
        """Send events of one changing subscription, each until it is acknowledged."""
        subscription_id = f"sub_made_in_dashboard_{next(_numbers)}"
        for number in itertools.count(1):
            if self.stopping.is_set():
                return
            event = made.event(
                "customer.subscription.updated",
                made.subscription(subscription_id, customer="cus_unknown", amount=700 + number),
                created=1_790_000_000 + number,
                id_=f"evt_{subscription_id}_{number}",
            )
            await self.deployment.send_event(event)
            self.acknowledged.add(event["id"])
            self.amounts[subscription_id] = 700 + number
            await asyncio.sleep(PAUSE_SECONDS)

    async def wait_for_purchases(self, purchases: int) -> None:
        """Wait for that many more purchases."""
        wanted = len(self.bought) + purchases
        async for _ in polling(LAST_SECONDS):
            if len(self.bought) >= wanted:
                return
        raise AssertionError(f"{len(self.bought)} purchases, not {wanted}")


@asynccontextmanager
async def under_load(
    deployment: Deployment, *, buyers: int = BUYERS, senders: int = SENDERS
) -> AsyncIterator[Load]:
    """Keep the deployment busy during the block, then wait until all that was started is done.

    The block begins once the first purchase is complete. The price of the dashboard gives nothing.
    """
    await deployment.pool.execute(_IGNORE_DASHBOARD_PRICE)
    load = Load(deployment)
    clients = [load.buy() for _ in range(buyers)] + [load.send() for _ in range(senders)]
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(client) for client in clients]
        await load.wait_for_purchases(1)
        yield load
        load.stopping.set()
        _, unfinished = await asyncio.wait(running, timeout=LAST_SECONDS)
        assert not unfinished, await deployment.pool.fetch(UNFINISHED)
