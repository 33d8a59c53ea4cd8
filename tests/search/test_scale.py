"""What an operator searches for, and the timeline, do not read whole tables."""

import hashlib
import re
from uuid import UUID

import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.database.queries import load_queries
from mpanel_billing.search.repository import find
from mpanel_billing.search.terms import Words

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


def id_of(number: int) -> UUID:
    return UUID(hashlib.md5(f"customer{number}".encode()).hexdigest())


async def test_of_what_many_have_the_latest_are_found_and_the_index_is_not_read(
    busy: Pool,
) -> None:
    await busy.execute(
        "UPDATE customers"
        " SET created_at = now() - substr(stripe_customer_id, 5)::int * interval '1 hour'"
    )
    async with busy.acquire() as conn:
        for text in ("example.com", "jane"):
            found = await find(conn, Words((text,)), 3)
            assert [one.object_id.split()[0] for one in found] == ["Jane"] * 3
            latest = await conn.fetch(
                "SELECT id FROM customers ORDER BY created_at DESC, id LIMIT 3"
            )
            assert [one.customer_id for one in found] == [row["id"] for row in latest]
        [oldest] = await find(conn, Words(("jane", "5000")), 3)
        assert oldest.customer_id == UUID(hashlib.md5(b"customer5000").hexdigest())
        begun = {one.customer_id for one in await find(conn, Words(("doe", "500")), 100)}
        assert {id_of(500), id_of(5000)} <= begun
        query = READ["find_by_words"]
        given = {"words": Words(("jane",)).tsquery, "most": 3}
        rows = await conn.fetch(
            f"EXPLAIN (ANALYZE) {query.sql}", *[given[each] for each in query.parameters]
        )
    plan = "\n".join(row[0] for row in rows)
    assert re.search(r"billing_customers_words_idx .*\(never executed\)", plan), plan
