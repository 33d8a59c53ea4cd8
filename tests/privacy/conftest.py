"""A person with a past: everything that the service stores about a customer has been stored."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import Pool
from mpanel_billing.provisioning.converge import provision_tenant_for_subscription
from tests.inline_worker import InlineWorker
from tests.postgres import Stocked
from tests.service import ORDER, Service
from tests.stocks import Stocks

BY = Actor("cli:tests@here")
EMAIL = "ada.qxlovelace@example.com"
ADA = {
    "name": "Ada Qxlovelace",
    "email": EMAIL,
    "company": "Qxanalytical Engines",
    "phone": "+442079460958",
    "address1": "12 Qxjames Square",
    "city": "Qxockham",
    "postcode": "QX1Y 4LE",
    "country": "GB",
}
NEEDLES = ("qxlovelace", "qxanalytical", "qxjames", "qxockham", "qx1y", "79460958")
"""In every text about Ada, and in nothing else."""

TEXTS = """
SELECT c.table_name, c.column_name, c.data_type
FROM information_schema.columns AS c
JOIN information_schema.tables AS t USING (table_schema, table_name)
WHERE c.table_schema = 'public'
  AND t.table_type = 'BASE TABLE'
  AND c.data_type IN ('text', 'character varying', 'json', 'jsonb', 'bytea', 'ARRAY', 'xml')
ORDER BY c.table_name, c.column_name
"""


async def texts_of(pool: Pool) -> list[tuple[str, str, str]]:
    """Return table, name and type of every column that can hold a text."""
    return [tuple(row) for row in await pool.fetch(TEXTS)]


async def places_of(pool: Pool, *needles: str) -> list[str]:
    """Return every column of the database that has one of these texts, whatever their case."""
    patterns = [f"%{needle}%" for needle in needles]
    found = []
    for table, column, type_ in await texts_of(pool):
        text = f"encode({column}, 'escape')" if type_ == "bytea" else f'"{column}"::text'
        query = f"SELECT count(*) FROM {table} WHERE {text} ILIKE ANY($1::text[])"
        if await pool.fetchval(query, patterns):
            found.append(f"{table}.{column}")
    return found


@dataclass(frozen=True)
class Past:
    """Ada bought a plan with a domain, was provisioned, and has left."""

    service: Service
    worker: InlineWorker
    subscription_id: UUID
    customer_id: UUID
    stripe_customer_id: str

    @property
    def pool(self) -> Pool:
        return self.service.pool

    async def row(self, query: str, *args: object) -> Any:
        return await self.service.row(query, *args)

    async def places(self, *needles: str) -> Sequence[str]:
        return await places_of(self.pool, *(needles or NEEDLES))


async def leave(service: Service, worker: InlineWorker, subscription_id: UUID) -> None:
    """Cancel at once, and let the retention of the accounts pass."""
    row = await service.row("SELECT * FROM subscriptions WHERE id = $1", subscription_id)
    await worker.gateway.client.v1.subscriptions.cancel_async(row["stripe_subscription_id"])
    await worker.catch_up()
    later = replace(worker.provisioning, clock=lambda: datetime.now(UTC) + timedelta(days=120))
    await service.pool.execute("UPDATE provisioning_work SET wake_at = now()")
    await provision_tenant_for_subscription(later, subscription_id)
    await service.stripe.wait_idle()


async def buy(service: Service, worker: InlineWorker, order: dict[str, Any]) -> UUID:
    """Buy as Ada, under a domain of her name, and be provisioned."""
    domain = {"mode": "register", "value": "qxlovelace.com"}
    page = await service.buy({**order, "customer": ADA, "domain": domain})
    await worker.catch_up()
    return UUID(page["subscriptionId"])


@dataclass(frozen=True)
class Ada(Stocked):
    """The ids of her subscription and of her, and the cookies of her browser."""

    subscription_id: str
    customer_id: str
    stripe_customer_id: str
    cookies: Mapping[str, str]

    def met(self, service: Service, worker: InlineWorker) -> Past:
        """Return her past, in a copy."""
        service.cookies.update(self.cookies)
        ids = UUID(self.subscription_id), UUID(self.customer_id)
        return Past(service, worker, *ids, self.stripe_customer_id)


@pytest.fixture(scope="session")
def ada_who_bought(stocks: Stocks, stocked: Stocked) -> Ada:
    """She is a customer: a stock."""
    stock, facts = stocks.filled("ada_bought", stocked, _sell_to_ada)
    return Ada(stock.template, stock.sandbox_state, **facts)


async def _sell_to_ada(worker: InlineWorker) -> Mapping[str, Any]:
    service = worker.service
    id_ = await buy(service, worker, deepcopy(ORDER))
    row = await service.row("SELECT * FROM subscriptions WHERE id = $1", id_)
    assert row["status"] == "active"
    return {
        "subscription_id": str(id_),
        "customer_id": str(row["customer_id"]),
        "stripe_customer_id": row["stripe_customer_id"],
        "cookies": service.cookies,
    }


@pytest.fixture(scope="session")
def ada_who_left(stocks: Stocks, ada_who_bought: Ada) -> Ada:
    """She was a customer, and her accounts are no more: a stock."""

    async def let_her_leave(worker: InlineWorker) -> None:
        await leave(worker.service, worker, UUID(ada_who_bought.subscription_id))
        states = await worker.service.pool.fetch("SELECT actual FROM tenant_services")
        assert {row["actual"] for row in states} == {"terminated"}

    stock, _ = stocks.filled("ada_left", ada_who_bought, let_her_leave)
    return replace(ada_who_bought, template=stock.template, sandbox_state=stock.sandbox_state)


@pytest.fixture
def living(service: Service, worker: InlineWorker, ada_who_bought: Ada) -> Past:
    """Ada while she is a customer."""
    return ada_who_bought.met(service, worker)


@pytest.fixture
def past(service: Service, worker: InlineWorker, ada_who_left: Ada) -> Past:
    """Ada after she has left."""
    return ada_who_left.met(service, worker)
