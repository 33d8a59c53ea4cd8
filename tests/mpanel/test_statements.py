"""mPanel's own statements do on a migrated database what they did before."""

from typing import Any
from uuid import UUID

import pytest

from mpanel_billing.database.pool import Pool
from tests import stripe_objects as made
from tests.inbox import Inbox
from tests.mpanel.conftest import Clone
from tests.mpanel.databases import columns_of, connected, rows_of

TENANT = "'10000000-0000-4000-8000-000000000001'"
CUSTOMER = "'40000000-0000-4000-8000-000000000001'"
SUBSCRIPTION = "'50000000-0000-4000-8000-000000000001'"
INVOICE = "'60000000-0000-4000-8000-000000000009'"

STATEMENTS = {
    "signs a customer up": f"""
        INSERT INTO users (id, tenant_id, email, password_hash)
        VALUES ('20000000-0000-4000-8000-000000000009', {TENANT}, 'new@example.com', 'x');
        INSERT INTO customers (id, tenant_id, user_id)
        VALUES ('40000000-0000-4000-8000-000000000009', {TENANT},
            '20000000-0000-4000-8000-000000000009');""",
    "sells a subscription": f"""
        INSERT INTO subscriptions (id, tenant_id, customer_id, product_id, billing_cycle, price,
            next_billing_date)
        VALUES ('50000000-0000-4000-8000-000000000009', {TENANT}, {CUSTOMER},
            '30000000-0000-4000-8000-000000000001', 'monthly', 9.90, '2030-01-01')""",
    "bills it": f"""
        INSERT INTO invoices (id, tenant_id, customer_id, invoice_number, status, subtotal, total)
        VALUES ({INVOICE}, {TENANT}, {CUSTOMER}, 'INV-2026-000003', 'sent', 9.90, 9.90);
        INSERT INTO invoice_items (id, invoice_id, subscription_id, description, unit_price, amount)
        VALUES ('70000000-0000-4000-8000-000000000009', {INVOICE}, {SUBSCRIPTION}, 'x', 9.9, 9.9);
        UPDATE subscriptions SET next_billing_date = next_billing_date + interval '1 month'
        WHERE id = {SUBSCRIPTION}""",
    "takes a payment": f"""
        INSERT INTO payments (id, tenant_id, customer_id, invoice_id, amount, status)
        VALUES ('80000000-0000-4000-8000-000000000009', {TENANT}, {CUSTOMER}, {INVOICE}, 9.9, 'ok');
        UPDATE invoices SET status = 'paid', paid_date = '2026-01-01' WHERE id = {INVOICE}""",
    "suspends, in words of its own": f"""
        UPDATE subscriptions SET status = 'on_hold', auto_renew = TRUE WHERE id = {SUBSCRIPTION};
        UPDATE tenants SET status = 'suspended' WHERE id = {TENANT}""",
    "deletes an invoice": f"""
        DELETE FROM payments WHERE invoice_id = {INVOICE};
        DELETE FROM invoices WHERE id = {INVOICE}""",
    "deletes a subscription": f"""
        DELETE FROM invoice_items WHERE subscription_id = {SUBSCRIPTION};
        DELETE FROM domains WHERE subscription_id = {SUBSCRIPTION};
        DELETE FROM subscriptions WHERE id = {SUBSCRIPTION}""",
    "deletes a user with his customer": """
        DELETE FROM users WHERE email = 'new@example.com'""",
    "deletes a tenant with all that it has": f"DELETE FROM tenants WHERE id = {TENANT}",
}

_CLOCK = {"created_at", "updated_at"}


async def test_every_statement_has_the_effect_that_it_had(clone: Clone) -> None:
    async with (
        connected(clone("mpanel_later")) as before,
        connected(clone("mpanel_migrated")) as after,
    ):
        columns = {
            table: [name for name in names if name not in _CLOCK]
            for table, names in (await columns_of(before)).items()
        }
        for what, statement in STATEMENTS.items():
            assert await before.execute(statement) == await after.execute(statement), what
            assert await rows_of(before, columns) == await rows_of(after, columns), what
        assert (await rows_of(after, columns))["subscriptions"] == []


@pytest.mark.parametrize(
    "table", ["tenants", "users", "products", "customers", "subscriptions", "invoices"]
)
async def test_its_triggers_still_date_every_change(pool: Pool, table: str) -> None:
    changed = await pool.fetch(
        f"UPDATE {table} SET created_at = created_at RETURNING updated_at > '2026-01-01' AS dated"
    )
    assert changed
    assert all(row["dated"] for row in changed)


TABLES_OF_A_SUBSCRIPTION = (
    "billing_adoptions",
    "billing_takeovers",
    "billing_kept_payments",
    "subscription_items",
    "subscription_discounts",
    "subscription_charges",
    "checkout_sessions",
    "orders",
    "billing_domains",
    "provisioning_work",
    "provisioning_holds",
    "billing_leniency",
    "provisioning_log",
    "tenant_services",
    "idempotency_keys",
    "billing_changes",
    "billing_planned_changes",
    "billing_pauses",
    "billing_price_changes",
    "billing_tax_notices",
)


@pytest.fixture
async def sold(pool: Pool, inbox: Inbox) -> dict[str, Any]:
    """A subscription that Stripe bills, with a row in each table that points at it."""
    product = await pool.fetchval(
        "INSERT INTO products (name, type, price, code, kind)"
        " VALUES ('Starter', 'hosting', 7.99, 'starter', 'plan') RETURNING id"
    )
    await pool.execute(
        "INSERT INTO prices (product_id, billing_cycle, currency, unit_amount, lookup_key,"
        " stripe_price_id, livemode)"
        " VALUES ($1, 'monthly', 'usd', 799, 'starter', 'price_1', FALSE)",
        product,
    )
    order = await inbox.order()
    metadata = {"subscriptionId": str(order)}
    await inbox.deliver("customer.subscription.created", made.subscription(metadata=metadata))
    await inbox.deliver("invoice.paid", made.invoice())
    tenant = await pool.fetchval(
        "INSERT INTO tenants (name, domain, billing_subscription_id)"
        " VALUES ('Ada', 'ada.test', $1) RETURNING id",
        order,
    )
    await _fill_tables(pool, order)
    row = await inbox.row(
        "UPDATE subscriptions SET tenant_id = $1 WHERE id = $2 RETURNING customer_id, product_id",
        tenant,
        order,
    )
    await pool.execute(
        "UPDATE invoices SET tenant_id = $1 WHERE subscription_id = $2", tenant, order
    )
    ids = {"tenants": tenant, "subscriptions": order}
    return ids | {"customers": row["customer_id"], "products": row["product_id"]}


async def _fill_tables(pool: Pool, order: UUID) -> None:
    for statement in (
        (
            "INSERT INTO subscription_charges (subscription_id, position, kind, code, description,"
            " state) VALUES ($1, 0, 'discount', 'WELCOME10', 'x', 'waiting')"
        ),
        (
            "INSERT INTO orders (subscription_id, customer_id, fingerprint)"
            " SELECT id, customer_id, 'x' FROM subscriptions WHERE id = $1"
        ),
        (
            "INSERT INTO billing_domains"
            " (subscription_id, name, unicode_name, skeleton, registrable, mode)"
            " VALUES ($1, 'ada.test', 'ada.test', 'ada.test', 'ada.test', 'existing')"
        ),
        (
            "INSERT INTO subscription_discounts (subscription_id, stripe_discount_id, position,"
            " fetched) VALUES ($1, 'di_1', 0, TRUE)"
        ),
        "INSERT INTO provisioning_holds (subscription_id, reason, placed_by) VALUES ($1, 'x', 'x')",
        (
            "INSERT INTO billing_leniency (subscription_id, grace_days, reason, set_by)"
            " VALUES ($1, 30, 'x', 'x')"
        ),
        (
            "INSERT INTO provisioning_log (subscription_id, driver, action, idempotency_key,"
            " request, outcome, duration_ms) VALUES ($1, 'log', 'create', 'x', '{}', 'done', 1)"
        ),
        (
            "INSERT INTO tenant_services (subscription_id, product_type, desired, driver)"
            " VALUES ($1, 'hosting', 'active', 'log')"
        ),
        "INSERT INTO idempotency_keys (key, request_hash, subscription_id) VALUES ('x', 'x', $1)",
        (
            "INSERT INTO billing_changes (subscription_id, kind, request_hash, params, state)"
            " VALUES ($1, 'cancel', 'x', '{}', 'done')"
        ),
        (
            "INSERT INTO billing_planned_changes (stripe_schedule_id, subscription_id, plan_code,"
            " billing_cycle, addon_codes, effective_at, subtotal, amount)"
            " VALUES ('sub_sched_1', $1, 'starter', 'monthly', '{}', now(), 799, 799)"
        ),
        "INSERT INTO billing_pauses (subscription_id, since, until) VALUES ($1, now(), now())",
        (
            "INSERT INTO prices (product_id, billing_cycle, currency, unit_amount, lookup_key)"
            " SELECT product_id, 'annually', 'usd', 1, $1::uuid::text FROM prices"
        ),
        (
            "INSERT INTO billing_price_changes (subscription_id, old_price_id, new_price_id,"
            " not_before, effective_at, next_attempt_at)"
            " SELECT $1, min(id::text)::uuid, max(id::text)::uuid, now(), now(), now() FROM prices"
        ),
        (
            "INSERT INTO billing_tax_notices (subscription_id, currency, total_before, total, tax,"
            " not_before, next_attempt_at, told_by)"
            " VALUES ($1, 'usd', 799, 951, 152, now(), now(), 'cli:grace@panel')"
        ),
        "INSERT INTO billing_adoptions (subscription_id, source) VALUES ($1, 'stripe')",
        (
            "INSERT INTO billing_takeovers (subscription_id, predecessor_id, reason)"
            " SELECT $1, id, 'returned' FROM subscriptions WHERE id <> $1 LIMIT 1"
        ),
        (
            "INSERT INTO billing_kept_payments (stripe_invoice_id, subscription_id, amount,"
            " currency, reason, kept_by) VALUES ('in_1', $1, 799, 'usd', 'x', 'x')"
        ),
    ):
        await pool.execute(statement, order)


async def test_each_of_our_tables_points_at_the_subscription(
    pool: Pool, sold: dict[str, Any]
) -> None:
    """Holds the list above, which the next test relies on, to the schema."""
    pointing = await pool.fetch(
        "SELECT DISTINCT conrelid::regclass::text AS name FROM pg_constraint"
        " WHERE confrelid = 'subscriptions'::regclass AND confdeltype = 'c'"
    )
    assert {row["name"] for row in pointing} == set(TABLES_OF_A_SUBSCRIPTION)
    for table in TABLES_OF_A_SUBSCRIPTION:
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") > 0, table


@pytest.mark.parametrize("table", ["tenants", "customers", "subscriptions"])
async def test_mpanel_can_delete_what_stripe_bills(
    pool: Pool, sold: dict[str, Any], table: str
) -> None:
    assert await pool.execute(f"DELETE FROM {table} WHERE id = $1", sold[table]) == "DELETE 1"
    for ours in TABLES_OF_A_SUBSCRIPTION:
        assert await pool.fetchval(f"SELECT count(*) FROM {ours}") == 0, ours
    invoices = await pool.fetch(
        "SELECT subscription_id FROM invoices WHERE stripe_invoice_id IS NOT NULL"
    )
    kept = [None] if table == "subscriptions" else []
    assert [row["subscription_id"] for row in invoices] == kept
    linked = await pool.fetch("SELECT billing_subscription_id FROM tenants")
    assert all(row["billing_subscription_id"] is None for row in linked)
    assert await pool.fetchval("SELECT count(*) FROM subscriptions") == 2


async def test_an_event_after_that_makes_no_second_subscription(
    pool: Pool, inbox: Inbox, sold: dict[str, Any]
) -> None:
    for table in ("tenants", "customers"):
        await pool.execute(f"DELETE FROM {table} WHERE id = $1", sold[table])
    later = made.subscription(status="canceled", metadata={"subscriptionId": str(sold["tenants"])})
    told = await inbox.deliver("customer.subscription.deleted", later, created=1_790_000_009)
    assert told == "ignored"
    known = "SELECT count(*) FROM subscriptions WHERE stripe_subscription_id = $1"
    assert await pool.fetchval(known, later["id"]) == 0
    kept = await inbox.row("SELECT stripe_status FROM billing_deleted_subscriptions")
    assert kept["stripe_status"] == "canceled"
