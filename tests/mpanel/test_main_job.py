"""An order from click to account on mPanel's own database, and how mPanel sees it then."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from mpanel_billing.provisioning.converge import Provisioning, provision_tenant_for_subscription
from tests.mpanel.mpanel_code import (
    DUE_TO_BILLER,
    LIST_INVOICES,
    LIST_SUBSCRIPTIONS,
    NEXT_INVOICE,
    SUM_REVENUE,
)
from tests.service import Service

HOPPER = UUID("10000000-0000-4000-8000-000000000001")
GRACES = UUID("40000000-0000-4000-8000-000000000001")


async def buy(service: Service, provisioning: Provisioning, order: dict[str, Any]) -> UUID:
    """Order, pay, provision; answer the tenant."""
    answer = await service.buy(order)
    outcome = await provision_tenant_for_subscription(provisioning, UUID(answer["subscriptionId"]))
    assert outcome.done
    row = await service.row(
        "SELECT tenant_id FROM subscriptions WHERE id = $1", UUID(answer["subscriptionId"])
    )
    tenant_id: UUID = row["tenant_id"]
    return tenant_id


async def listed(service: Service, query: str, tenant_id: UUID) -> asyncpg.Record:
    """The one line of a list of mPanel's."""
    return await service.row(query, tenant_id)


async def test_the_list_of_subscriptions_shows_what_was_bought(
    service: Service, provisioning: Provisioning, order_a: dict[str, Any]
) -> None:
    tenant = await buy(service, provisioning, order_a | {"planId": "premium"})
    line = await listed(service, LIST_SUBSCRIPTIONS, tenant)
    today = datetime.now(UTC).date()
    assert (line["status"], line["billing_cycle"]) == ("active", "monthly")
    assert line["price"] == Decimal("13.98")
    assert (line["product_name"], line["product_type"]) == ("Premium", "hosting")
    assert today + timedelta(days=27) < line["next_due_date"] < today + timedelta(days=32)
    assert line["created_at"].date() == today
    assert (line["auto_renew"], line["next_billing_date"]) == (False, None)


async def test_the_list_of_invoices_shows_what_was_paid(
    service: Service, provisioning: Provisioning, order_a: dict[str, Any]
) -> None:
    tenant = await buy(service, provisioning, order_a)
    line = await listed(service, LIST_INVOICES, tenant)
    today = datetime.now(UTC).date()
    assert (line["status"], line["currency"]) == ("paid", "USD")
    assert (line["subtotal"], line["tax_amount"], line["total"]) == (
        Decimal("12.98"),
        Decimal("0.00"),
        Decimal("12.98"),
    )
    assert line["due_date"] == today
    assert (line["created_at"].date(), line["paid_date"].date()) == (today, today)
    assert not line["invoice_number"].startswith("INV-")
    assert line["customer_id"] is not None
    assert await service.pool.fetchval(SUM_REVENUE) == Decimal("12.98")


async def test_an_order_that_is_not_paid_is_in_no_tenants_list(
    service: Service, order_a: dict[str, Any]
) -> None:
    await service.order(order_a)
    lists = await service.pool.fetch(
        "SELECT DISTINCT status FROM subscriptions WHERE tenant_id IS NOT NULL"
    )
    assert {row["status"] for row in lists} == {"active", "fraud"}


async def test_the_biller_goes_on_for_its_own_subscriptions_alone(
    service: Service, provisioning: Provisioning, order_a: dict[str, Any]
) -> None:
    await buy(service, provisioning, order_a)
    assert len(await service.pool.fetch(DUE_TO_BILLER)) == 1
    number = await service.pool.fetchval(NEXT_INVOICE, HOPPER, GRACES)
    assert number == f"INV-{datetime.now(UTC).year}-000003"


class TestABuyerWhomMpanelKnows:
    @pytest.fixture
    def order(self, order_a: dict[str, Any]) -> dict[str, Any]:
        return order_a | {"customer": {"name": "Grace Hopper", "email": "grace@HOPPER.example"}}

    async def test_joins_her_row_in_the_books_and_runs_on_a_stripe_customer_of_its_own(
        self, service: Service, provisioning: Provisioning, order: dict[str, Any]
    ) -> None:
        before = await service.pool.fetchval("SELECT count(*) FROM customers")
        await service.pool.execute(
            """INSERT INTO stripe_customers (id, customer_id, livemode)
               VALUES ('cus_hers', $1, FALSE)""",
            GRACES,
        )
        await service.pool.execute(
            "UPDATE customers SET stripe_customer_id = 'cus_hers' WHERE id = $1", GRACES
        )
        tenant = await buy(service, provisioning, order)
        bought = await service.row("SELECT * FROM subscriptions WHERE tenant_id = $1", tenant)
        assert bought["customer_id"] == GRACES
        assert bought["stripe_customer_id"] != "cus_hers"
        grace = await service.row("SELECT * FROM customers WHERE id = $1", GRACES)
        assert grace["stripe_customer_id"] == "cus_hers"
        assert (grace["email"], grace["company_name"]) == ("Grace@Hopper.example", "Hopper Systems")
        assert await service.pool.fetchval("SELECT count(*) FROM customers") == before

    async def test_is_found_by_the_address_that_she_has_in_mpanel_now(
        self, service: Service, order: dict[str, Any]
    ) -> None:
        await service.pool.execute(
            "UPDATE users SET email = 'amazing@grace.example' WHERE email = 'Grace@Hopper.example'"
        )
        answer = await service.order(
            order | {"customer": {"name": "Grace", "email": "amazing@grace.example"}}
        )
        ordered = await service.row(
            "SELECT customer_id FROM subscriptions WHERE id = $1", UUID(answer["subscriptionId"])
        )
        assert ordered["customer_id"] == GRACES

    async def test_is_found_when_she_has_signed_up_after_our_migrations(
        self, service: Service, order_a: dict[str, Any]
    ) -> None:
        known = await service.pool.fetchval(
            """WITH account AS (
                   INSERT INTO users (email, password_hash, email_verified)
                   VALUES ('Late@Example.com', 'x', TRUE) RETURNING id
               )
               INSERT INTO customers (user_id) SELECT id FROM account RETURNING id"""
        )
        for _ in range(2):
            await service.order(order_a | {"customer": {"name": "L", "email": "late@example.com"}})
        row = await service.row("SELECT * FROM customers WHERE email = 'late@example.com'")
        assert row["id"] == known
        ordered = await service.row("SELECT customer_id FROM orders")
        assert ordered["customer_id"] == known

    async def test_is_looked_up_by_indexes(self, service: Service) -> None:
        for name in ("billing_users_email_idx", "billing_customers_user_idx"):
            assert await service.pool.fetchval(
                "SELECT indisvalid FROM pg_index WHERE indexrelid = $1::regclass", name
            )
