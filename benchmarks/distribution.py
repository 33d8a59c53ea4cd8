"""Which keys and references stand in the way of sharding by customer, as Citus does it.

Citus asks of a distributed table what PostgreSQL asks of a partitioned one: every unique key
contains the column by which rows are distributed. A reference to another distributed table must
contain it too. So PostgreSQL's own catalogue tells what would have to change.
"""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from benchmarks.scratch import attempt, scratch
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
"""Tables that would be sharded, and by which column; all rows of a customer lie on one node."""

REFERENCE = frozenset({"products", "prices", "coupons"})
"""Tables that every node would have a copy of: small, and changed by an operator."""

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
    """Print, table by table, what would have to change; and what PostgreSQL says to it today."""
    async with scratch(folder) as conn:
        keys = references = without = 0
        for table, column in DISTRIBUTED.items():
            without += await conn.fetchval(_HAS_COLUMN, table, column) is None
            unique, foreign = await _print_obstacles(conn, table, column)
            keys, references = keys + unique, references + foreign
        print(f"{without} of {len(DISTRIBUTED)} tables have no such column")
        print(f"{keys} unique keys and {references} references would have to change")
        tables = {row["relname"] for row in await conn.fetch(_TABLES)}
        others = sorted(tables - DISTRIBUTED.keys() - REFERENCE)
        print(f"on one node, as they are: {', '.join(others)}")


async def _print_obstacles(conn: Connection, table: str, column: str) -> tuple[int, int]:
    """Print those of one table; answer how many keys and how many references stand in the way."""
    not_null = await conn.fetchval(_HAS_COLUMN, table, column)
    state = {None: "has no", True: "has", False: "may be without"}[not_null]
    print(f"{table} by {column}: {state} {column}")
    unique = await conn.fetch(_UNIQUE, table, column)
    for row in unique:
        print(f"  unique: {row['name']} {row['definition'].partition(' USING ')[2]}")
    foreign = [
        row for row in await conn.fetch(_FOREIGN, table, column) if row["target"] not in REFERENCE
    ]
    for row in foreign:
        print(f"  reference: {row['name']} to {row['target']}")
    if not_null is not None:
        copy = f"CREATE TABLE sharded (LIKE {table} INCLUDING ALL) PARTITION BY HASH ({column})"
        print(f"  PostgreSQL: {await attempt(conn, copy)}")
        await conn.execute("DROP TABLE IF EXISTS sharded")
    return len(unique), len(foreign)
