"""From the order to the tenant, with the real processes stopped at the wrong moment."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import aiohttp
import asyncpg
import pytest

from mpanel_billing.database.pool import Pool
from stripe_sandbox import Sandbox
from stripe_sandbox.client import SandboxClient
from tests.processes import ServiceProcess, running_api, running_worker
from tests.service import WEBHOOK_SECRET


@dataclass
class House:
    """A buyer's and an operator's view of the running processes."""

    pool: Pool
    database_url: str
    sandbox: Sandbox
    stripe: SandboxClient
    port: int
    stack: AsyncExitStack

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start_api(self) -> ServiceProcess:
        return await self.stack.enter_async_context(
            running_api(self.database_url, self.port, stripe_url=self.sandbox.url)
        )

    async def start_worker(self) -> ServiceProcess:
        return await self.stack.enter_async_context(
            running_worker(self.database_url, stripe_url=self.sandbox.url)
        )

    async def order(self, body: dict[str, Any]) -> dict[str, Any]:
        async with (
            aiohttp.ClientSession() as browser,
            browser.post(f"{self.url}/api/checkout/create-session", json=body) as answer,
        ):
            content: dict[str, Any] = await answer.json()
            assert answer.status == 200, content
            return content

    async def success_page(self, session_id: str) -> dict[str, Any]:
        """Follow the order as the success page does, until its tenant is ready."""
        async with asyncio.timeout(60):
            while True:
                content = await self.look(session_id, wait=20)
                if content["status"] == "active":
                    return content

    async def look(self, session_id: str, wait: int = 0) -> dict[str, Any]:
        """Return what the success page is told."""
        url = f"{self.url}/api/checkout/session/{session_id}?wait={wait}"
        async with aiohttp.ClientSession() as browser, browser.get(url) as answer:
            content: dict[str, Any] = await answer.json()
            return content


@pytest.fixture
async def house(  # noqa: PLR0917 - pytest gives fixtures by name
    database_url: str,
    pool: Pool,
    sandbox: Sandbox,
    stripe: SandboxClient,
    offers: None,
    unused_tcp_port: int,
) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        house = House(pool, database_url, sandbox, stripe, unused_tcp_port, stack)
        sandbox.add_webhook(f"{house.url}/api/webhooks/stripe", WEBHOOK_SECRET)
        yield house


async def rows_of_the_order(pool: Pool) -> dict[str, list[asyncpg.Record]]:
    """Return what psql shows of the only order."""
    return {
        table: await pool.fetch(f"SELECT * FROM {table}")
        for table in (
            "customers",
            "subscriptions",
            "subscription_items",
            "invoices",
            "invoice_payments",
            "tenants",
            "provisioning_log",
        )
    }


def check_rows(rows: dict[str, list[asyncpg.Record]], answer: dict[str, Any]) -> None:
    """One customer, one subscription with all its ids, its invoice, one tenant, the log."""
    (subscription,) = rows["subscriptions"]
    (invoice,) = rows["invoices"]
    (tenant,) = rows["tenants"]
    assert len(rows["customers"]) == 1
    assert str(subscription["id"]) == answer["subscriptionId"]
    assert subscription["status"] == "active"
    assert subscription["checkout_session_id"] == answer["sessionId"]
    assert subscription["stripe_customer_id"].startswith("cus_")
    assert subscription["stripe_subscription_id"].startswith("sub_")
    assert subscription["stripe_payment_intent_id"].startswith("pi_")
    assert (
        subscription["metadata"]
        | {
            "planId": "premium",
            "billingCycle": "monthly",
            "trialActive": False,
            "domainMode": "new-or-transfer",
            "domainValue": "gracehopper.com",
            "productTypes": ["hosting", "email"],
        }
        == subscription["metadata"]
    )
    assert [item["unit_amount"] for item in rows["subscription_items"]] == [899]
    assert invoice["amount_paid"] == invoice["amount_due"] == 899 + 1299
    assert invoice["subscription_id"] == subscription["id"]
    assert subscription["tenant_id"] == tenant["id"] == invoice["tenant_id"]
    assert tenant["domain"] == "gracehopper.com"
    actions = sorted((row["product_type"], row["action"]) for row in rows["provisioning_log"])
    assert actions == [("email", "create"), ("hosting", "create")]


ORDER: dict[str, Any] = {
    "planId": "premium",
    "billingCycle": "monthly",
    "trialActive": False,
    "customer": {"name": "Grace Hopper", "email": "grace@example.com"},
    "domain": {"mode": "new-or-transfer", "value": "gracehopper.com"},
}


async def test_an_order_is_paid_mirrored_and_provisioned(house: House) -> None:
    await house.start_api()
    await house.start_worker()
    answer = await house.order(ORDER)
    await house.stripe.pay(answer["url"])
    page = await house.success_page(answer["sessionId"])
    assert page["tenant"]["domain"] == "gracehopper.com"
    await house.stripe.wait_idle()
    check_rows(await rows_of_the_order(house.pool), answer)


async def test_a_worker_that_starts_after_the_payment_ends_in_the_same_state(
    house: House,
) -> None:
    await house.start_api()
    answer = await house.order(ORDER)
    await house.stripe.pay(answer["url"])
    await house.stripe.wait_idle()
    status = await house.pool.fetchval("SELECT status FROM subscriptions")
    assert status == "pending"
    await house.start_worker()
    await house.success_page(answer["sessionId"])
    check_rows(await rows_of_the_order(house.pool), answer)


async def test_an_api_that_is_killed_before_the_payment_ends_in_the_same_state(
    house: House,
) -> None:
    """Stripe's webhooks are refused, and are sent again once the process is back."""
    api = await house.start_api()
    await house.start_worker()
    answer = await house.order(ORDER)
    await api.kill()
    await house.stripe.pay(answer["url"])
    assert await house.pool.fetchval("SELECT status FROM subscriptions") == "provisional"
    await house.start_api()
    await house.success_page(answer["sessionId"])
    await house.stripe.wait_idle()
    check_rows(await rows_of_the_order(house.pool), answer)


async def test_an_order_whose_webhooks_never_come_is_found_by_the_success_page(
    house: House,
) -> None:
    await house.start_api()
    await house.stripe.set_delivery(hold=True)
    answer = await house.order(ORDER)
    await house.stripe.pay(answer["url"])
    await house.look(answer["sessionId"])
    assert await house.pool.fetchval("SELECT stripe_status FROM subscriptions") == "active"
    assert await house.pool.fetchval("SELECT count(*) FROM stripe_events") == 0
    await house.start_worker()  # it also asks Stripe for lost events, every minute
    await house.success_page(answer["sessionId"])
    await house.stripe.release()
    await house.stripe.wait_idle()
    check_rows(await rows_of_the_order(house.pool), answer)
