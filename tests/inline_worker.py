"""The worker's jobs run inline: at once, without its queue and its clock."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from mpanel_billing.access.persons import PersonHasher
from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.converge import Provisioning, provision_tenant_for_subscription
from mpanel_billing.provisioning.desired import Policy
from mpanel_billing.provisioning.drivers.log import LogDriver
from mpanel_billing.provisioning.drivers.registry import ConcurrencyLimit, Drivers, LimitedDriver
from mpanel_billing.provisioning.trials import TrialRules
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.roles import RUNTIME_ROLE, settings_under
from tests.service import Service

GRACE, RETENTION = timedelta(days=7), timedelta(days=30)

_ROUNDS = 5


@dataclass(frozen=True)
class InlineWorker:
    """Does all work that is due."""

    service: Service
    gateway: StripeGateway
    provisioning: Provisioning

    async def catch_up(self) -> None:
        """Wait for Stripe's webhooks, and work until nothing is due."""
        for _ in range(_ROUNDS):
            await self.service.stripe.wait_idle()
            if not await self._work():
                return
        raise AssertionError("the work does not end")

    async def _work(self) -> bool:
        pool = self.service.pool
        mirror = Mirror(self.provisioning.pool, self.gateway, livemode=False)
        asked = await pool.fetch("SELECT object_id FROM stripe_refetches ORDER BY requested_at")
        for row in asked:
            await mirror.refetch(row["object_id"])
        due = await pool.fetch(
            "SELECT subscription_id FROM provisioning_work "
            "WHERE version > done_version OR wake_at <= now() ORDER BY updated_at"
        )
        for row in due:
            await provision_tenant_for_subscription(self.provisioning, row["subscription_id"])
        return bool(asked or due)


@pytest.fixture
async def worker(service: Service, gateway: StripeGateway) -> AsyncIterator[InlineWorker]:
    """The worker of the running service, with its role; its driver only logs."""
    async with await create_pool(settings_under(service.settings, RUNTIME_ROLE)) as pool:
        yield worker_of(service, gateway, pool)


def worker_of(service: Service, gateway: StripeGateway, pool: Pool) -> InlineWorker:
    """Return the worker of a service, over connections of its own."""
    provisioning = Provisioning(
        pool,
        gateway,
        Drivers(LimitedDriver(LogDriver(), ConcurrencyLimit(10))),
        Policy(GRACE, RETENTION),
        "panel.test",
        livemode=False,
        trials=TrialRules(PersonHasher(service.settings.person_secret), end_second=False),
    )
    return InlineWorker(service, gateway, provisioning)
