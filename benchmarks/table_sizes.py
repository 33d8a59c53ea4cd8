"""Rows and bytes by table, as PostgreSQL stores them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from mpanel_billing.database.pool import Pool

_SIZES = """
SELECT
    c.relname AS name,
    pg_relation_size(c.oid) AS heap,
    pg_indexes_size(c.oid) AS indexes,
    pg_total_relation_size(c.oid) - pg_relation_size(c.oid) - pg_indexes_size(c.oid) AS toast
FROM pg_class AS c
WHERE c.relkind = 'r'
  AND c.relnamespace = current_schema()::regnamespace
ORDER BY c.relname
"""
_PAYLOADS = """
SELECT
    count(*) AS events,
    avg(octet_length(payload::text))::integer AS sent,
    avg(pg_column_size(payload))::integer AS stored
FROM stripe_events
WHERE payload IS NOT NULL
"""


@dataclass(frozen=True)
class Size:
    """A table's rows and bytes; `toast` includes the free space and visibility maps."""

    rows: int = 0
    heap: int = 0
    indexes: int = 0
    toast: int = 0

    def __sub__(self, other: "Size") -> "Size":
        return Size(
            self.rows - other.rows,
            self.heap - other.heap,
            self.indexes - other.indexes,
            self.toast - other.toast,
        )

    def __add__(self, other: "Size") -> "Size":
        return self - (Size() - other)

    def per(self, count: int) -> str:
        total = self.heap + self.indexes + self.toast
        return (
            f"{self.rows / count:5.2f} rows {total / count:7,.0f} bytes "
            f"(heap {self.heap / count:,.0f}, indexes {self.indexes / count:,.0f}, "
            f"TOAST and maps {self.toast / count:,.0f})"
        )


class TableSizes:
    """The sizes of the tables when last read."""

    def __init__(self, pool: Pool, sizes: Mapping[str, Size]) -> None:
        self._pool = pool
        self._sizes = sizes

    @classmethod
    async def open(cls, pool: Pool) -> Self:
        return cls(pool, await read_sizes(pool))

    async def print_growth(self, what: str, count: int) -> None:
        """Print how much each table has grown per one of `count`, and keep the new sizes."""
        sizes = await read_sizes(self._pool)
        grown = {name: size - self._sizes.get(name, Size()) for name, size in sizes.items()}
        self._sizes = sizes
        print(f"  {what} adds, by table:")
        for name, size in grown.items():
            if size.rows > 0 or size.heap > 0:
                print(f"    {name:<24} {size.per(count)}")
        print(f"    {'all':<24} {sum(grown.values(), Size()).per(count)}", flush=True)


async def read_sizes(pool: Pool) -> dict[str, Size]:
    """Vacuum, and read the sizes of all tables."""
    await pool.execute("VACUUM")
    return {
        row["name"]: Size(await _count(pool, row["name"]), *list(row.values())[1:])
        for row in await pool.fetch(_SIZES)
    }


async def print_inbox(pool: Pool) -> None:
    """Print the size of an event in the inbox, rewritten without bloat."""
    payloads = await pool.fetchrow(_PAYLOADS)
    assert payloads is not None
    print(
        f"payloads: {payloads['sent'] or 0:,} bytes of JSON as sent, "
        f"{payloads['stored'] or 0:,} as stored, on average"
    )
    await pool.execute("VACUUM FULL stripe_events")
    size = (await read_sizes(pool))["stripe_events"]
    print(f"the inbox without bloat, per event: {size.per(size.rows)}", flush=True)


async def _count(pool: Pool, table: str) -> int:
    count: int = await pool.fetchval(f'SELECT count(*) FROM "{table}"')
    return count
