"""The service in this process, and a reconcile of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from mpanel_billing.jobs.pace import Pace
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.reconciliation import runs
from mpanel_billing.reconciliation.compare import ReconcileContext
from mpanel_billing.reconciliation.drift import Drift
from mpanel_billing.reconciliation.paced_stripe import PacedStripe
from mpanel_billing.reconciliation.runs import RunRequest
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import Fetched, Page, Resource
from tests.provisioning.world import World
from tests.service import Service

UNLIMITED = 1000.0
"""Requests per second: no limit in practice."""


@dataclass(frozen=True)
class Result:
    """The result of a run."""

    figures: Mapping[str, Any]
    drift: Sequence[Drift]

    def fields(self) -> set[tuple[str, str]]:
        return {(d.object_type, d.field) for d in self.drift}


@dataclass(frozen=True)
class Reconciler:
    """Reconciles the service like the command."""

    service: Service
    context: ReconcileContext

    async def run(
        self,
        *,
        context: ReconcileContext | None = None,
        started_by: str = "command",
        **options: Any,
    ) -> Result:
        run_id = await runs.open_run(
            self.service.pool, RunRequest(started_by, livemode=False, **options)
        )
        assert await runs.continue_run(context or self.context, run_id)
        figures = await runs.show_run(self.service.pool, run_id)
        drift = [each async for each in runs.list_drift(self.service.pool, run_id)]
        return Result(figures, drift)

    def with_stripe(self, stripe: Any) -> ReconcileContext:
        return replace(self.context, mirror=replace(self.context.mirror, stripe=stripe))


class StripeWrapper:
    """Stripe's API behind a wrapper that tests override."""

    def __init__(self, stripe: Any) -> None:
        self._stripe = stripe

    async def list_page(self, resource: Resource, params: Mapping[str, Any]) -> Page:
        page: Page = await self._stripe.list_page(resource, params)
        return page

    async def fetch(self, resource: Resource, object_id: str) -> Fetched:
        fetched: Fetched = await self._stripe.fetch(resource, object_id)
        return fetched

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stripe, name)


@pytest.fixture
def world() -> World:
    """The accounts of the drivers."""
    return World()


@pytest.fixture
def reconciler(service: Service, gateway: StripeGateway, world: World) -> Reconciler:
    stripe = PacedStripe(gateway, Pace(UNLIMITED))
    mirror = Mirror(service.pool, stripe, livemode=False)
    return Reconciler(service, ReconcileContext(mirror, world.drivers()))
