"""A service that sells traffic and storage by usage, and a program that reports it."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from mpanel_billing.catalogue.file import parse_catalogue
from mpanel_billing.catalogue.push import push_catalogue
from mpanel_billing.catalogue.schema import CatalogueFile
from mpanel_billing.catalogue.service import apply_catalogue
from mpanel_billing.database.pool import create_pool
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.resources import DEFAULT_CATALOGUE
from mpanel_billing.stripe_gateway.catalogue import StripeCatalogue
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.usage.sending import UsageSender
from tests.inline_worker import InlineWorker
from tests.postgres import Stocked
from tests.roles import RUNTIME_ROLE, settings_under
from tests.service import ORDER, Service
from tests.stocks import Stocks
from tests.subscriptions.conftest import Answer, Backend, backend, settings

__all__ = ["backend", "settings"]  # fixtures

METERED = """
[[addons]]
code = "traffic"
name = "Traffic"
description = "What visitors load, by the gigabyte."
category = "addons"
product_types = ["hosting"]
usage.meter = "traffic_gb"
usage.unit = "GB"
usage.included = 100
usage.notify_at = [80, 100]
usage.limit = 5000
usage.at_limit = "suspend"
usage.terms = ["monthly"]
usage.tiers = [{ up_to = 1000, unit_amount = "2.5" }, { unit_amount = 1 }]

[[addons]]
code = "space"
name = "Space"
description = "What is on the disk at the end of the month."
category = "addons"
product_types = ["hosting"]
usage.meter = "space_gb"
usage.aggregation = "last"
usage.unit = "GB"
usage.terms = ["monthly"]
usage.tiers = [{ unit_amount = 10 }]
"""
"""Traffic is 100 GB free, 2.5 cents each up to 1,000, then 1; space is 10 cents each."""

METERED_ORDER = ORDER | {"addonIds": ["traffic", "space"]}


def metered_file() -> CatalogueFile:
    return parse_catalogue(DEFAULT_CATALOGUE.read_text() + METERED)


@dataclass
class Reporter:
    """The program that measures: it reports, and a worker sends."""

    backend: Backend
    gateway: StripeGateway
    sender: UsageSender

    @property
    def service(self) -> Service:
        return self.backend.service

    async def report(self, *records: dict[str, Any], **named: Any) -> Answer:
        return await self.backend.post("usage", {"records": records, **named})

    async def statuses(self, *records: dict[str, Any], **named: Any) -> Sequence[str]:
        answer = await self.report(*records, **named)
        assert answer.status == 200, answer.body
        return [result["status"] for result in answer.body["results"]]

    async def stripe_has(self, subscription: str, meter: str) -> float:
        """Return what Stripe has of a meter for the subscription's customer, ever."""
        _, customer = await self.backend.stripe_ids(subscription)
        row = await self.service.row(
            "SELECT stripe_meter_id FROM billing_meters WHERE event_name = $1", meter
        )
        end = (await self.service.stripe.now()) // 60 * 60 + 600
        found = await self.gateway.client.v1.billing.meters.event_summaries.list_async(
            row["stripe_meter_id"],
            {"customer": customer, "start_time": end - 60 * 60 * 24 * 70, "end_time": end},
        )
        return sum(one.aggregated_value for one in found.data)

    async def states(self) -> list[str]:
        """Return what became of the meter events, in the order in which they came."""
        rows = await self.service.pool.fetch(
            "SELECT state FROM billing_meter_events ORDER BY number"
        )
        return [row["state"] for row in rows]

    async def trouble(self) -> list[asyncpg.Record]:
        """Return what a person must act on about usage."""
        rows = await self.service.pool.fetch("SELECT * FROM billing_trouble")
        return [row for row in rows if row["trouble"].startswith("usage")]

    async def hurry(self) -> None:
        """Make everything that waits due."""
        await self.service.pool.execute(
            "UPDATE billing_meter_events SET next_attempt_at = now() WHERE state = 'waiting'"
        )


@pytest.fixture(scope="session")
def metered_shop(stocks: Stocks, stocked: Stocked) -> Stocked:
    """Traffic and space on sale too: a stock."""
    return stocks.filled("metered", stocked, _sell_by_usage)[0]


async def _sell_by_usage(worker: InlineWorker) -> None:
    pool = worker.service.pool
    await apply_catalogue(pool, metered_file())
    await push_catalogue(pool, StripeCatalogue(worker.gateway.client), livemode=False)


@pytest.fixture
async def reporter(
    metered_shop: Stocked, backend: Backend, gateway: StripeGateway
) -> AsyncIterator[Reporter]:
    service = backend.service
    async with await create_pool(settings_under(service.settings, RUNTIME_ROLE)) as pool:
        yield Reporter(backend, gateway, UsageSender(pool, gateway, Pace(1000), livemode=False))


@pytest.fixture
async def metered(reporter: Reporter) -> str:
    """A paid subscription with traffic and space."""
    order = await reporter.service.buy(METERED_ORDER)
    return str(order["subscriptionId"])


def record(
    id_: str,
    subscription: str,
    quantity: int,
    meter: str = "traffic_gb",
    *,
    at: datetime | None = None,
    ago: float = 0,
) -> dict[str, Any]:
    """Return a record of what was used at a time, or so many seconds ago."""
    used = at or datetime.now(UTC) - timedelta(seconds=ago)
    return {
        "id": id_,
        "subscriptionId": subscription,
        "meter": meter,
        "quantity": quantity,
        "timestamp": used.isoformat(),
    }
