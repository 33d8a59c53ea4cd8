"""A domain that was sold with a plan, at a registry in memory, and the years that pass."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from mpanel_billing.domains.auth_codes import AuthCodes
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.drivers.registry import ConcurrencyLimit, LimitedRegistrar
from mpanel_billing.provisioning.registrar.run import Registering, see_to_domain
from mpanel_billing.subscriptions.domain_renewals import (
    RenewalRules,
    renew_domains,
    tell_of_renewals,
)
from tests.inline_worker import InlineWorker
from tests.subscriptions.conftest import Backend
from tests.subscriptions.registry import Registry, a_year_after

NAME = "lovelace.com"
FURTHER = {"domain": {"mode": "register", "value": NAME}}


@dataclass
class Years:
    """Moves the clocks of Stripe, the worker and the registry."""

    backend: Backend
    worker: InlineWorker
    registry: Registry
    subscription: str
    rules: RenewalRules = field(default_factory=RenewalRules)

    @property
    def mirror(self) -> Mirror:
        return Mirror(self.worker.provisioning.pool, self.worker.gateway, livemode=False)

    async def domain(self, name: str = NAME) -> asyncpg.Record:
        return await self.backend.service.row("SELECT * FROM billing_domains WHERE name = $1", name)

    async def renewals(self) -> list[asyncpg.Record]:
        return await self.backend.service.pool.fetch(
            "SELECT * FROM billing_domain_renewals ORDER BY expires_on"
        )

    async def states(self) -> list[str]:
        return [row["state"] for row in await self.renewals()]

    async def messages(self, kind: str = "domain.%") -> list[str]:
        rows = await self.backend.service.pool.fetch(
            "SELECT type FROM billing_messages WHERE type LIKE $1 ORDER BY position", kind
        )
        return [row["type"] for row in rows]

    async def charged(self) -> list[tuple[int, str]]:
        """Return the invoices that are of no subscription, with their status at Stripe."""
        page = await self.worker.gateway.client.v1.invoices.list_async({"limit": 100})
        return [(one.total, str(one.status)) for one in page.data if one.billing_reason == "manual"]

    async def reach(self, moment: datetime) -> None:
        """Move all clocks to a moment, and do what is due then."""
        self.registry.now = moment
        await self.backend.service.stripe.advance_time(int(moment.timestamp()))
        await self.work()

    async def before_expiry(self, days: float) -> None:
        row = await self.domain()
        await self.reach(row["expires_at"] - timedelta(days=days))

    async def work(self) -> None:
        await self.worker.catch_up()
        await tell_of_renewals(self.mirror, self.registry.now)
        for _ in range(3):
            await renew_domains(self.mirror, self.rules, self.registry.now)
            await self.worker.catch_up()
            await self.look()

    async def look(self) -> None:
        """Let the worker see to the domains at their registry."""
        pool = self.worker.provisioning.pool
        registering = Registering(
            pool, self.worker.provisioning.drivers, AuthCodes(()), lambda: self.registry.now
        )
        for row in await pool.fetch("SELECT id FROM billing_domains WHERE driver IS NOT NULL"):
            await pool.execute(
                "UPDATE billing_domains SET next_attempt_at = '-infinity' WHERE id = $1", row["id"]
            )
            await see_to_domain(registering, row["id"])


async def sell(backend: Backend, order: dict[str, Any], *, late: int = 0, **changed: Any) -> Years:
    """Sell a plan with a domain, which is at the registry so many days later."""
    bought = await backend.service.buy(order | FURTHER | changed)
    await backend.worker.catch_up()
    now = datetime.fromtimestamp(await backend.service.stripe.now(), UTC)
    registry = Registry(now, {NAME: a_year_after(now) + timedelta(days=late)}, {"first": NAME})
    drivers = replace(
        backend.worker.provisioning.drivers,
        registrar=LimitedRegistrar(registry, ConcurrencyLimit(10)),
    )
    worker = replace(
        backend.worker, provisioning=replace(backend.worker.provisioning, drivers=drivers)
    )
    await backend.service.pool.execute(
        "UPDATE billing_domains SET driver = 'registry', expires_at = $1", registry.expires[NAME]
    )
    return Years(backend, worker, registry, bought["subscriptionId"])


@pytest.fixture
async def years(backend: Backend, order_a: dict[str, Any], told: None) -> Years:
    """A domain with a plan that is billed once a year."""
    return await sell(backend, order_a, billingCycle="annually")
