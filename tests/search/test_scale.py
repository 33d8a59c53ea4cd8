"""What an operator searches for, and the timeline, do not read whole tables."""

import re

import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.database.queries import load_queries

MANY = """
INSERT INTO customers (id, name, company_name, email, stripe_customer_id)
SELECT md5('customer' || n)::uuid, 'Jane ' || md5(n::text), 'Doe ' || n, 'jane' || n || '@example.com', 'cus_' || n
FROM generate_series(1, 5000) AS n;
INSERT INTO stripe_customers (id, customer_id, livemode)
SELECT stripe_customer_id, id, FALSE FROM customers;
INSERT INTO subscriptions (id, customer_id, status, billing_provider, livemode, stripe_subscription_id,
    stripe_customer_id, currency, amount, price, auto_renew)
SELECT md5('subscription' || n)::uuid, md5('customer' || n)::uuid, 'provisional', 'stripe', FALSE, NULL,
    'cus_' || n, 'usd', 799, 7.99, FALSE
FROM generate_series(1, 5000) AS n;
INSERT INTO stripe_events (id, type, created, livemode, object_id, payload, status, applied_at)
SELECT 'evt_' || n, 'charge.succeeded', now(), FALSE, 'ch_' || n, '{}', 'ignored', now()
FROM generate_series(1, 5000) AS n;
INSERT INTO billing_audit_entries (actor, action, outcome, began_at, target_type, target_id)
SELECT 'panel', 'subscription.retry', 'done', now(), 'subscription', md5('subscription' || n)::uuid::text
FROM generate_series(1, 5000) AS n;
INSERT INTO billing_audit_unsettled (entry_id, since) SELECT min(entry_id), now() FROM billing_audit_entries;
INSERT INTO tenants (name, domain) SELECT 'panel', 'jane' || n || '.com' FROM generate_series(1, 5000) AS n;
"""  # noqa: E501
TIMELINE = load_queries("operations").by_name["list_timeline"]
READ = load_queries("search").by_name | {TIMELINE.name: TIMELINE}
GROWING = "customers|stripe_customers|subscriptions|stripe_events|tenants|billing_audit_entries"


@pytest.fixture
async def busy(pool: Pool) -> Pool:
    await pool.execute(MANY)
    await pool.execute("ANALYZE")
    return pool


async def test_no_table_that_grows_is_read_whole(busy: Pool) -> None:
    whole = {}
    async with busy.acquire() as conn:
        await conn.execute("SET plan_cache_mode = force_generic_plan")
        for name, query in READ.items():
            limited = ["20" if each == "most" else "NULL" for each in query.parameters]
            await conn.execute(f"PREPARE asked AS {query.sql}")
            rows = await conn.fetch(f"EXPLAIN EXECUTE asked({', '.join(limited)})")
            await conn.execute("DEALLOCATE asked")
            plan = "\n".join(row[0] for row in rows)
            if found := re.findall(rf"Seq Scan on (?:{GROWING})\b", plan):
                whole[name] = found
    assert whole == {}
