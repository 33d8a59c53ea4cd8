"""What an operator asks about messages does not read whole tables."""

import re

import pytest

from mpanel_billing.database.pool import Pool
from mpanel_billing.database.queries import load_queries

MANY = """
INSERT INTO billing_receivers (name, url, livemode, types, secret, created_by)
VALUES ('panel', 'https://panel.test/', FALSE, '{*}', 'whsec_abc', 'grace');
INSERT INTO billing_messages (id, type, object_id, transition, livemode, subscription_id, sequence,
    occurred_at, addressed_at, data, created_at)
SELECT 'msg_' || lpad(to_hex(n), 32, '0'), 'invoice.paid', 'in_' || n, 'paid', FALSE,
    gen_random_uuid(), 1, now(), now(), '{}', now() - make_interval(mins => n)
FROM generate_series(1, 20000) AS n;
INSERT INTO billing_deliveries (message_id, receiver_id, subscription_id, sequence, state,
    next_attempt_at)
SELECT m.id, r.id, m.subscription_id, 1, 'delivered', NULL
FROM billing_messages AS m CROSS JOIN billing_receivers AS r;
"""
READ = (
    *("list_deliveries", "list_deliveries_of", "list_due_receivers", "claim_deliveries"),
    *("resend", "list_receivers"),
)


@pytest.fixture
async def busy(pool: Pool) -> Pool:
    await pool.execute(MANY)
    await pool.execute("ANALYZE billing_messages, billing_deliveries, billing_receivers")
    return pool


async def test_no_table_that_grows_is_read_whole(busy: Pool) -> None:
    async with busy.acquire() as conn:
        for name in READ:
            query = load_queries("messages").by_name[name]
            nothing = ", ".join(["NULL"] * len(query.parameters))
            await conn.execute(f"PREPARE asked AS {query.sql}")
            called = f"asked({nothing})" if nothing else "asked"
            rows = await conn.fetch(f"EXPLAIN EXECUTE {called}")
            await conn.execute("DEALLOCATE asked")
            plan = "\n".join(row[0] for row in rows)
            assert not re.search(r"Seq Scan on billing_(messages|deliveries)\b", plan), plan
