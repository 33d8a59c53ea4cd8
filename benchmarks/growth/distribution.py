"""Which unique keys and foreign keys prevent sharding by customer, as Citus does it.

Citus requires of a distributed table what PostgreSQL requires of a partitioned one: every unique
key contains the distribution column. So must a foreign key to another distributed table.
PostgreSQL's catalogue therefore shows what would have to change.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from benchmarks.servers import attempt, scratch_database
from mpanel_billing.database.queries import Connection

DISTRIBUTED: Mapping[str, str] = MappingProxyType(
    {
        "customers": "id",
        "billing_changes": "customer_id",
        "checkout_sessions": "customer_id",
        "idempotency_keys": "customer_id",
        "invoice_payments": "customer_id",
        "invoices": "customer_id",
        "orders": "customer_id",
        "provisioning_holds": "customer_id",
        "provisioning_log": "customer_id",
        "provisioning_work": "customer_id",
        "stripe_customers": "customer_id",
        "stripe_refunds": "customer_id",
        "subscription_charges": "customer_id",
        "subscription_items": "customer_id",
        "subscriptions": "customer_id",
        "tenant_services": "customer_id",
    }
)
"""Tables to shard, and by which column: all rows of a customer are on one node."""

REFERENCE = frozenset({"products", "prices", "coupons"})
"""Tables copied to every node: small, and changed only by operators."""

_HAS_COLUMN = """
SELECT attnotnull
FROM pg_attribute
WHERE attrelid = $1::text::regclass
  AND attname = $2
"""
_UNIQUE = """
SELECT
    i.indexrelid::regclass::text AS name,
    pg_get_indexdef(i.indexrelid) AS definition
FROM pg_index AS i
WHERE i.indrelid = $1::text::regclass
  AND i.indisunique
  AND NOT EXISTS (
      SELECT 1
      FROM pg_attribute AS a
      WHERE a.attrelid = i.indrelid
        AND a.attnum = ANY(i.indkey)
        AND a.attname = $2
  )
ORDER BY name
"""
_FOREIGN = """
SELECT
    c.conname AS name,
    c.confrelid::regclass::text AS target
FROM pg_constraint AS c
WHERE c.conrelid = $1::text::regclass
  AND c.contype = 'f'
  AND NOT EXISTS (
      SELECT 1
      FROM pg_attribute AS a
      WHERE a.attrelid = c.conrelid
        AND a.attnum = ANY(c.conkey)
        AND a.attname = $2
  )
ORDER BY name
"""
_TABLES = """
SELECT relname
FROM pg_class
WHERE relkind = 'r'
  AND relnamespace = current_schema()::regnamespace
ORDER BY relname
"""


async def try_distribution(folder: Path) -> None:
    """Print, table by table, what would have to change, and whether PostgreSQL accepts it today."""
    async with scratch_database(folder) as conn:
        keys = references = without = 0
        for table, column in DISTRIBUTED.items():
            without += await conn.fetchval(_HAS_COLUMN, table, column) is None
            unique, foreign = await _print_obstacles(conn, table, column)
            keys, references = keys + unique, references + foreign
        print(f"{without} of {len(DISTRIBUTED)} tables lack the column")
        print(f"{keys} unique keys and {references} foreign keys would have to change")
        tables = {row["relname"] for row in await conn.fetch(_TABLES)}
        others = sorted(tables - DISTRIBUTED.keys() - REFERENCE)
        print(f"on one node, unchanged: {', '.join(others)}")


async def _print_obstacles(conn: Connection, table: str, column: str) -> tuple[int, int]:
    """Print what prevents sharding one table; return the number of unique and foreign keys."""
    not_null = await conn.fetchval(_HAS_COLUMN, table, column)
    state = {None: "lacks", True: "has", False: "has nullable"}[not_null]
    print(f"{table} by {column}: {state} {column}")
    unique = await conn.fetch(_UNIQUE, table, column)
    for row in unique:
        print(f"  unique: {row['name']} {row['definition'].partition(' USING ')[2]}")
    foreign = [
        row for row in await conn.fetch(_FOREIGN, table, column) if row["target"] not in REFERENCE
    ]
    for row in foreign:
        print(f"  foreign key: {row['name']} to {row['target']}")
    if not_null is not None:
        copy = f"CREATE TABLE sharded (LIKE {table} INCLUDING ALL) PARTITION BY HASH ({column})"
        print(f"  PostgreSQL: {await attempt(conn, copy)}")
        await conn.execute("DROP TABLE IF EXISTS sharded")
    return len(unique), len(foreign)
