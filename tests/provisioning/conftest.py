"""A mirrored subscription to provision, an outside world to provision it in."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.provisioning.converge import Provisioning, provision_tenant_for_subscription
from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.provisioning.drivers.registry import open_drivers
from mpanel_billing.provisioning.finishing import Outcome
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.postgres import Stocked
from tests.priced import IS_PRICED, price
from tests.provisioning.latest_stripe import LatestStripe
from tests.provisioning.reference_server import ReferenceServer
from tests.provisioning.world import World
from tests.service import make_settings

GRACE = timedelta(days=7)
RETENTION = timedelta(days=30)


def items(*lookup_keys: str, subscription: str = "sub_1") -> list[dict[str, Any]]:
    """Return a subscription's items, one for each price of the default catalogue."""
    base = made.subscription(subscription)["items"]["data"][0]
    return [
        {**base, "id": f"si_{key}_{subscription}", "price": {**base["price"], "id": f"price_{key}"}}
        for key in lookup_keys
    ]


@dataclass
class ProvisioningSystem:
    """A database with the catalogue, an outside world, and the provisioning between them."""

    pool: Pool
    inbox: Inbox
    world: World
    provisioning: Provisioning
    stripe: LatestStripe

    async def deliver_subscription(
        self, status: str, *lookup_keys: str, id_: str = "sub_1", **more: Any
    ) -> None:
        """Deliver an event about a subscription, a second later than the one before."""
        keys = lookup_keys or ("starter_monthly_usd",)
        stripe_object = made.subscription(
            id_, status=status, items=items(*keys, subscription=id_), **more
        )
        self.stripe.objects[id_] = stripe_object
        await self.inbox.deliver(
            "customer.subscription.updated", stripe_object, created=self.stripe.next_second()
        )

    async def deliver_items(self, *listed: dict[str, Any], status: str = "active") -> None:
        """Deliver an event about the subscription with these items."""
        stripe_object = made.subscription("sub_1", status=status, items=list(listed))
        self.stripe.objects["sub_1"] = stripe_object
        await self.inbox.deliver(
            "customer.subscription.updated", stripe_object, created=self.stripe.next_second()
        )

    async def trouble(self) -> list[asyncpg.Record]:
        return await self.pool.fetch(
            "SELECT trouble, detail FROM billing_trouble ORDER BY trouble, detail"
        )

    async def troubles(self) -> list[str]:
        return [row["trouble"] for row in await self.trouble()]

    async def deliver_invoice(self, status: str, id_: str = "in_1", **more: Any) -> None:
        """Deliver an event about an invoice."""
        self.stripe.objects[id_] = stripe_object = made.invoice(id_, status=status, **more)
        await self.inbox.deliver(
            f"invoice.{'paid' if status == 'paid' else 'updated'}",
            stripe_object,
            created=self.stripe.next_second(),
        )

    async def run(self, id_: str = "sub_1") -> Outcome:
        """Provision as the worker does."""
        subscription = await self.inbox.subscription(id_)
        return await provision_tenant_for_subscription(self.provisioning, subscription["id"])

    async def id_of(self, id_: str = "sub_1") -> UUID:
        subscription_id: UUID = (await self.inbox.subscription(id_))["id"]
        return subscription_id

    async def sell(self, *lookup_keys: str, id_: str = "sub_1") -> UUID:
        """Mirror a paid, active subscription, and provision it."""
        await self.deliver_subscription("active", *lookup_keys, id_=id_)
        await self.deliver_invoice("paid", f"in_{id_}", subscription=id_)
        assert (await self.run(id_)).done
        return await self.id_of(id_)

    async def service(self, product_type: str = "hosting", id_: str = "sub_1") -> asyncpg.Record:
        return await self.inbox.row(
            """
            SELECT service.* FROM tenant_services AS service
            JOIN subscriptions AS s ON s.id = service.subscription_id
            WHERE s.stripe_subscription_id = $1 AND service.product_type = $2
            """,
            id_,
            product_type,
        )

    async def work(self, id_: str = "sub_1") -> asyncpg.Record:
        return await self.inbox.row(
            """
            SELECT w.* FROM provisioning_work AS w
            JOIN subscriptions AS s ON s.id = w.subscription_id
            WHERE s.stripe_subscription_id = $1
            """,
            id_,
        )

    async def make_due(self) -> None:
        """Let the time pass that failed services and works wait for."""
        await self.pool.execute(
            "UPDATE tenant_services SET next_attempt_at = now() WHERE next_attempt_at > now()"
        )
        await self.pool.execute(
            "UPDATE provisioning_work SET wake_at = now() WHERE wake_at > now()"
        )

    async def kill_run(self) -> None:
        """Let the lease of a run that was killed run out."""
        await self.pool.execute(
            "UPDATE provisioning_work SET leased_until = now() - interval '1 second', "
            "wake_at = now() WHERE lease_token IS NOT NULL"
        )


@pytest.fixture
def world() -> World:
    return World()


@asynccontextmanager
async def open_system(pool: Pool, world: World) -> AsyncIterator[ProvisioningSystem]:
    """Set the system on a migrated database, which may have the catalogue already."""
    if not await pool.fetchval(IS_PRICED):
        await price(pool)
    stripe = LatestStripe()
    provisioning = Provisioning(
        pool, stripe, world.drivers(), Policy(GRACE, RETENTION), "panel.test", livemode=False
    )
    yield ProvisioningSystem(pool, Inbox(pool), world, provisioning, stripe)
    await stripe.close()


@pytest.fixture
async def system(priced: Stocked, pool: Pool, world: World) -> AsyncIterator[ProvisioningSystem]:
    async with open_system(pool, world) as opened:
        yield opened


@pytest.fixture
async def server() -> AsyncIterator[ReferenceServer]:
    async with ReferenceServer().running() as running:
        yield running


@pytest.fixture
async def hosted(
    system: ProvisioningSystem, server: ReferenceServer
) -> AsyncIterator[ProvisioningSystem]:
    """The system, with its hosting accounts at an HTTP service."""
    services = {"hosting": server.endpoint()}
    async with open_drivers(make_settings(provisioning_services=services)) as drivers:
        system.provisioning = replace(system.provisioning, drivers=drivers)
        system.world = server.world
        yield system
