"""In psql, every object of ours has a description."""

from tests.mpanel.databases import connected

# PgQueuer's columns are described in its own manual, dbmate's table describes itself.
_UNDESCRIBED = """
SELECT format('%s.%s', c.relname, a.attname) AS name
FROM pg_class AS c
JOIN pg_attribute AS a
    ON a.attrelid = c.oid
    AND (a.attnum > 0 AND NOT a.attisdropped)
WHERE c.relnamespace = 'public'::regnamespace
  AND c.relkind IN ('r', 'v')
  AND c.relname NOT LIKE 'pgqueuer%'
  AND c.relname <> 'billing_schema_migrations'
  AND col_description(c.oid, a.attnum) IS NULL
  AND NOT EXISTS (
      SELECT 1
      FROM unnest($1::text[]) AS mpanels (name)
      WHERE c.relname = mpanels.name
        AND NOT EXISTS (
            SELECT 1 FROM billing_schema_objects AS o
            WHERE o.table_name = c.relname AND o.column_name = a.attname
        )
  )
UNION ALL
SELECT c.relname
FROM pg_class AS c
WHERE c.relnamespace = 'public'::regnamespace
  AND c.relkind IN ('r', 'v')
  AND c.relname <> 'billing_schema_migrations'
  AND NOT c.relname = ANY($1)
  AND obj_description(c.oid, 'pg_class') IS NULL
"""

MPANELS = [
    "tenants",
    "users",
    "products",
    "customers",
    "subscriptions",
    "invoices",
    "invoice_items",
    "payments",
    "domains",
    "audit_logs",
]


async def test_every_table_view_and_column_of_ours_is_described(database_url: str) -> None:
    async with connected(database_url) as connection:
        assert await connection.fetch(_UNDESCRIBED, MPANELS) == []


async def test_a_column_that_mpanel_had_keeps_its_own_description(database_url: str) -> None:
    async with connected(database_url) as connection:
        described = await connection.fetchval(
            """SELECT col_description(attrelid, attnum) FROM pg_attribute
               WHERE attrelid = 'invoices'::regclass AND attname = 'stripe_payment_intent_id'"""
        )
    assert described == "mPanel's own words"
