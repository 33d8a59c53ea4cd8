"""The drill: back up, sell, change, refund and cancel, restore, reconcile; all is as before."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.provisioning.drivers.registry import Drivers, open_drivers
from mpanel_billing.reconciliation.compare import ReconcileContext
from mpanel_billing.reconciliation.runs import mark_restored
from mpanel_billing.settings import DatabaseSettings
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from tests.inline_worker import InlineWorker
from tests.provisioning.reference_server import ReferenceServer
from tests.reconciliation.conftest import Reconciler
from tests.service import WEBHOOK_SECRET, AppClient, Service, make_app, make_settings

CARD = "4242424242424242"

ROWS = {
    "subscriptions": """
        SELECT id, customer_id, tenant_id, product_id, status, stripe_status, livemode,
            stripe_subscription_id, stripe_customer_id, amount, price, currency, billing_cycle,
            metadata, initial_payment_settled, current_period_end, cancel_at_period_end,
            canceled_at, ended_at
        FROM subscriptions WHERE status <> 'provisional' ORDER BY id""",
    "subscription_items": """
        SELECT subscription_id, price_id, stripe_subscription_item_id, quantity, unit_amount
        FROM subscription_items WHERE stripe_subscription_item_id IS NOT NULL
        ORDER BY stripe_subscription_item_id""",
    "customers": """
        SELECT id, email, name, company_name, phone, address_line1, city, postal_code, country,
            stripe_customer_id, metadata
        FROM customers WHERE email <> 'late@example.com' ORDER BY id""",
    "tenants": """
        SELECT id, name, domain, status, billing_subscription_id FROM tenants ORDER BY id""",
    "tenant_services": """
        SELECT subscription_id, product_type, desired, actual, driver, external_ref, resources,
            desired_resources, generation
        FROM tenant_services ORDER BY subscription_id, product_type""",
    "invoices": """
        SELECT stripe_invoice_id, subscription_id, customer_id, tenant_id, status, total,
            amount_paid
        FROM invoices ORDER BY stripe_invoice_id""",
    "stripe_refunds": """
        SELECT stripe_refund_id, amount, status FROM stripe_refunds ORDER BY stripe_refund_id""",
}
"""What has to be the same afterwards; an order that was not paid yet is lost with the backup."""


@dataclass(frozen=True)
class Drill:
    """The service, its accounts at an HTTP service, and the tools of PostgreSQL."""

    service: Service
    worker: InlineWorker
    server: ReferenceServer
    postgres: EmbeddedPostgres
    drivers: Drivers
    folder: Path

    @property
    def api(self) -> Any:
        return self.worker.gateway.client.v1

    async def sell(self, order: Mapping[str, Any], email: str, **more: Any) -> dict[str, Any]:
        """Sell and provision; return the response of the shop with the subscription's row."""
        customer = order["customer"] | {"email": email}
        page = await self.service.buy({**order, **more, "customer": customer})
        await self.worker.catch_up()
        row = await self.service.row(
            "SELECT * FROM subscriptions WHERE id = $1::text::uuid", page["subscriptionId"]
        )
        assert row["status"] == "active"
        return {**row, "session": page["sessionId"]}

    async def back_up(self) -> Path:
        file = self.folder / "billing.dump"
        await self._run(
            "pg_dump", "--format=custom", f"--file={file}", self.service.settings.direct_url
        )
        return file

    async def restore(self, file: Path) -> str:
        """Restore the dump as another database, and return its URL: the first stays to compare."""
        await self.service.pool.execute("CREATE DATABASE restored")
        url = self.postgres.url("restored")
        await self._run("pg_restore", "--exit-on-error", f"--dbname={url}", str(file))
        return url

    async def _run(self, tool: str, *words: str) -> None:
        process = await asyncio.create_subprocess_exec(self.postgres.bin_dir / tool, *words)
        assert await process.wait() == 0

    async def change_plan(self, sold: Mapping[str, Any]) -> None:
        price = await self.service.pool.fetchval(
            "SELECT stripe_price_id FROM prices WHERE lookup_key = 'premium_monthly_usd'"
        )
        subscription = await self.api.subscriptions.retrieve_async(sold["stripe_subscription_id"])
        items = sorted(subscription["items"].data, key=lambda item: -item.price.unit_amount)
        await self.api.subscriptions.update_async(
            sold["stripe_subscription_id"], {"items": [{"id": items[0].id, "price": price}]}
        )
        await self.worker.catch_up()

    async def refund(self, sold: Mapping[str, Any]) -> None:
        intent = sold["stripe_payment_intent_id"]
        await self.api.refunds.create_async({"payment_intent": intent, "amount": 100})
        await self.worker.catch_up()

    async def cancel(self, sold: Mapping[str, Any]) -> None:
        await self.api.subscriptions.cancel_async(sold["stripe_subscription_id"])
        await self.worker.catch_up()

    def accounts(self) -> set[tuple[Any, ...]]:
        return {
            (a.reference, a.subscription_id, a.product_type, a.actual, str(a.resources))
            for a in [*self.server.world.accounts, *self.server.world.terminated]
        }


@pytest.fixture
async def drill(
    service: Service, worker: InlineWorker, postgres: EmbeddedPostgres, tmp_path: Path
) -> AsyncIterator[Drill]:
    async with ReferenceServer().running() as server:
        types = ("hosting", "backup", "email", "storage", "ssl", "cdn", "monitoring")
        services = {each: server.endpoint() for each in types}
        async with open_drivers(make_settings(provisioning_services=services)) as drivers:
            provisioning = replace(worker.provisioning, drivers=drivers)
            working = replace(worker, provisioning=provisioning)
            yield Drill(service, working, server, postgres, drivers, tmp_path)


async def rows_of(pool: Pool) -> dict[str, Sequence[dict[str, Any]]]:
    return {name: [dict(r) for r in await pool.fetch(query)] for name, query in ROWS.items()}


async def test_after_a_restored_backup_rows_and_accounts_are_as_before(
    drill: Drill,
    gateway: StripeGateway,
    aiohttp_client: Callable[..., Awaitable[AppClient]],
    order_a: dict[str, Any],
) -> None:
    service = drill.service
    upgraded = await drill.sell(order_a, "upgraded@example.com")
    refunded = await drill.sell(order_a, "refunded@example.com")
    cancelled = await drill.sell(order_a, "cancelled@example.com")
    file = await drill.back_up()

    domain = {"mode": "register", "value": "münchen-bäckerei.com"}
    address = {"line1": "1 Main St", "city": "Berlin", "postcode": "10115", "country": "DE"}
    buyer = {
        "name": "Grace Hopper",
        "company": "Hopper & Co",
        "phone": "+4930123456",
        "address": address,
    }
    lost = await drill.sell(
        order_a | {"customer": buyer}, "lost@example.com", domain=domain, couponCode="WELCOME10"
    )
    ended = await drill.sell(order_a, "ended@example.com")
    await drill.cancel(ended)
    await drill.change_plan(upgraded)
    await drill.refund(refunded)
    await drill.cancel(cancelled)
    unpaid = await service.order(
        order_a | {"customer": {"name": "Late", "email": "late@example.com"}}
    )
    await drill.worker.catch_up()
    rows, accounts = await rows_of(service.pool), drill.accounts()
    assert len(rows["subscriptions"]) == 5
    made = sum(request["action"] == "create" for request in drill.server.requests)

    url = await drill.restore(file)
    settings = DatabaseSettings(_env_file=None, database_url=url)  # type: ignore[call-arg]
    async with await create_pool(settings) as pool:
        restored = replace(service, pool=pool)
        context = ReconcileContext(Mirror(pool, gateway, livemode=False), drill.drivers)
        await mark_restored(pool, Actor("cli:tests@here"))
        result = await Reconciler(restored, context).run()
        assert result.figures["outcome"] == "repaired"
        worker = replace(
            drill.worker,
            service=restored,
            provisioning=replace(drill.worker.provisioning, pool=pool),
        )
        await worker.catch_up()
        after = await rows_of(pool)
        for name, expected in rows.items():
            assert after[name] == expected, name
        assert drill.accounts() == accounts
        trouble = await pool.fetch("SELECT * FROM billing_trouble")
        assert [dict(row) for row in trouble] == []
        assert (await Reconciler(restored, context).run()).figures["outcome"] == "clean"

        there = {"database_url": settings.database_url}
        client = await aiohttp_client(make_app(service.settings.model_copy(update=there)))
        for sold, status in ((lost, "active"), (ended, "cancelled"), (upgraded, "active")):
            answer = await client.get(f"/api/checkout/session/{sold['session']}")
            assert answer.status == 200, await answer.text()
            assert (await answer.json())["status"] == status

        drill.service.sandbox.add_webhook(
            str(client.make_url("/api/webhooks/stripe")), WEBHOOK_SECRET
        )
        await service.stripe.pay(unpaid["url"], CARD)
        await worker.catch_up()
        row = await restored.row(
            "SELECT status FROM subscriptions WHERE id = $1::text::uuid", unpaid["subscriptionId"]
        )
        assert row["status"] == "active"
        await client.close()
    await service.pool.execute("DROP DATABASE restored WITH (FORCE)")
    again = sum(request["action"] == "create" for request in drill.server.requests)
    assert again - made == len(drill.accounts()) - len(accounts)  # those of the late order
