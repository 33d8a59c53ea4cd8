"""mPanel's backend, with its key, before the running service."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from mpanel_billing.settings import Settings
from tests.checkout.conftest import catalogue
from tests.inline_worker import InlineWorker
from tests.service import Service, make_settings
from tests.sold import Sold

__all__ = ["catalogue"]  # a fixture

KEY = "b" * 32
BEARER = {"Authorization": f"Bearer {KEY}"}
NO_FUNDS_LATER = "4000000000000341"
AUTHENTICATES = "4000002760003184"
GOOD_CARD = "4242424242424242"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return make_settings(
        database_url=settings.database_url.get_secret_value(),
        stripe_api_base=str(settings.stripe_api_base),
        billing_api_keys=KEY,
    )


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]


@dataclass
class Backend:
    """Calls /api/billing as mPanel does."""

    service: Service
    worker: InlineWorker

    async def get(self, path: str, **query: str) -> Answer:
        async with self.service.client.get(
            f"/api/billing/{path}", params=query, headers=BEARER
        ) as response:
            return Answer(response.status, await response.json(), response.headers)

    async def post(self, path: str, body: object = None, key: str | None = None) -> Answer:
        named = {"Idempotency-Key": key} if key else {}
        async with self.service.client.post(
            f"/api/billing/{path}", json=body or {}, headers=BEARER | named
        ) as response:
            return Answer(response.status, await response.json(), response.headers)

    async def done(self, path: str, body: object = None, key: str | None = None) -> dict[str, Any]:
        response = await self.post(path, body, key)
        assert response.status == 200, response.body
        return response.body

    async def subscription(self, id_: str) -> dict[str, Any]:
        """What the backend is shown of a subscription."""
        response = await self.get(f"subscriptions/{id_}")
        assert response.status == 200, response.body
        shown: dict[str, Any] = response.body["subscription"]
        return shown

    async def invoices(self, id_: str) -> list[dict[str, Any]]:
        """What the backend is shown of a subscription's invoices, the newest first."""
        response = await self.get("invoices", subscriptionId=id_)
        assert response.status == 200, response.body
        shown: list[dict[str, Any]] = response.body["invoices"]
        return shown

    async def charged(self, id_: str) -> dict[str, Any]:
        """What the backend is shown of the invoice that a change was charged with."""
        reason = "subscription_update"
        (found,) = [one for one in await self.invoices(id_) if one["billingReason"] == reason]
        return found

    async def stripe_ids(self, id_: str) -> tuple[str, str]:
        """Return Stripe's ids of a subscription and of its customer."""
        row = await self.service.row(
            "SELECT stripe_subscription_id, stripe_customer_id FROM subscriptions"
            " WHERE id::text = $1",
            id_,
        )
        return row["stripe_subscription_id"], row["stripe_customer_id"]

    async def customer_of(self, id_: str) -> str:
        """Return our id of a subscription's customer."""
        shown = await self.subscription(id_)
        return str(shown["customerId"])

    async def worth(self, days: int, amount: int) -> int:
        """Return what so many days of the one subscription's term cost: a month has 28 to 31."""
        term = await self.service.row(
            "SELECT current_period_end - current_period_start AS length FROM subscriptions"
        )
        return round(amount * timedelta(days) / term["length"])

    async def give_card(self, id_: str, card: str) -> None:
        """Let a subscription be paid with another card from now on."""
        _, customer = await self.stripe_ids(id_)
        await self.service.stripe.replace_card(customer, card)

    async def audit(self) -> list[tuple[str, str]]:
        """Return what is on record of changes, the oldest first, with what became of each."""
        rows = await self.service.pool.fetch(
            "SELECT action, outcome FROM billing_audit_log WHERE actor = 'settings:billing:1'"
            " AND action <> 'checkout.create_session' ORDER BY id"
        )
        return [(row["action"], row["outcome"]) for row in rows]


@pytest.fixture
def backend(service: Service, worker: InlineWorker) -> Backend:
    return Backend(service, worker)


@pytest.fixture
def bought(backend: Backend, sold_once: Sold) -> str:
    """A paid, provisioned subscription: starter, monthly, with daily backups."""
    backend.service.cookies.update(sold_once.cookies)
    return sold_once.subscription_id


async def buy(backend: Backend, order: dict[str, Any]) -> str:
    """Sell another one than `bought`."""
    ordered = await backend.service.buy(order)
    await backend.worker.catch_up()
    return str(ordered["subscriptionId"])
