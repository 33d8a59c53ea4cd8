"""Traffic: buyers who order, pay and wait for their tenants, and Stripe telling of renewals."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests import stripe_objects as made
from tests.faults.town import PAUSE_SECONDS, Town, looks

BUYERS = 2
SENDERS = 3
LAST_SECONDS = 60
"""How long what has begun may take to its end, once no more is begun."""

UNFINISHED = """
SELECT s.status, s.stripe_status, s.checkout_session_id, w.*
FROM subscriptions AS s
LEFT JOIN provisioning_work AS w ON w.subscription_id = s.id
WHERE s.status <> 'active'
"""

_numbers = itertools.count(1)


@dataclass
class Load:
    """What was done: the sessions bought, the events acknowledged, and what they last said."""

    town: Town
    bought: list[str] = field(default_factory=list)
    acknowledged: set[str] = field(default_factory=set)
    amounts: dict[str, int] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def buy(self) -> None:
        """Buy one thing after the other, each to its end."""
        while not self.over.is_set():
            session_id = await self.town.buy()
            self.bought.append(session_id)
            await self.town.follow(session_id)

    async def send(self) -> None:
        """Tell of one subscription that changes again and again, each event until it is taken."""
        subscription_id = f"sub_made_in_dashboard_{next(_numbers)}"
        for number in itertools.count(1):
            if self.over.is_set():
                return
            event = made.event(
                "customer.subscription.updated",
                made.subscription(subscription_id, customer="cus_unknown", amount=700 + number),
                created=1_790_000_000 + number,
                id_=f"evt_{subscription_id}_{number}",
            )
            await self.town.tell(event)
            self.acknowledged.add(event["id"])
            self.amounts[subscription_id] = 700 + number
            await asyncio.sleep(PAUSE_SECONDS)

    async def reach(self, purchases: int) -> None:
        """Wait until that many more have bought something."""
        wanted = len(self.bought) + purchases
        async for _ in looks(LAST_SECONDS):
            if len(self.bought) >= wanted:
                return
        raise AssertionError(f"{len(self.bought)} purchases, not {wanted}")


@asynccontextmanager
async def under_load(
    town: Town, *, buyers: int = BUYERS, senders: int = SENDERS
) -> AsyncIterator[Load]:
    """Keep the town busy for the length of the block, and then until what has begun is done.

    The block begins once the first purchase is through.
    """
    load = Load(town)
    clients = [load.buy() for _ in range(buyers)] + [load.send() for _ in range(senders)]
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(client) for client in clients]
        await load.reach(1)
        yield load
        load.over.set()
        _, unfinished = await asyncio.wait(running, timeout=LAST_SECONDS)
        assert not unfinished, await town.pool.fetch(UNFINISHED)
