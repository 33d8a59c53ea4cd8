"""Makes a database as it was before a test: what the test has written is taken back.

Rows are deleted without triggers. Tables are vacuumed only once they have grown: that takes longer
than all else, and each plan of a vacuumed table is made again. So the next rows may lie in another
order than those of a new table: what a test reads needs an ORDER BY. A database whose schema,
rights or settings a test has changed cannot be restored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import asyncpg

_TABLES = """
SELECT c.oid,
    c.oid::regclass::text AS name,
    n.nspname AS schema,
    c.relname AS bare,
    array_agg(a.attname::text ORDER BY a.attnum) FILTER (WHERE a.attgenerated = '') AS columns
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
GROUP BY c.oid, n.nspname, c.relname
ORDER BY c.oid
"""

_SEQUENCES = """
SELECT quote_ident(schemaname) || '.' || quote_ident(sequencename) AS name
FROM pg_sequences
"""

_CATALOGUES = (
    *("pg_class", "pg_attribute", "pg_proc", "pg_trigger", "pg_constraint", "pg_rewrite"),
    *("pg_type", "pg_enum", "pg_namespace", "pg_statistic", "pg_extension", "pg_event_trigger"),
)

_SCHEMA = (
    "SELECT concat_ws('/', "
    + ", ".join(
        f"(SELECT concat(count(*), ' ', min(age(xmin)) <= age($1::text::xid)) FROM {name})"
        for name in _CATALOGUES
    )
    + """, (SELECT count(*) FROM pg_db_role_setting AS s WHERE s.setdatabase = d.oid),
    d.datallowconn, d.datconnlimit, d.datdba, d.datacl)
FROM pg_database AS d WHERE datname = current_database()
"""
)
"""What a change of the schema, of rights or of settings changes."""

_MORE_PAGES = 16
"""How many pages more than it had a table may have before it is vacuumed."""

_END_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend'
    AND pid <> pg_backend_pid() AND pid <> ALL($1::integer[])
"""

_SIZES = """
SELECT name, pg_relation_size(oid) / current_setting('block_size')::integer AS pages
FROM unnest($1::oid[], $2::text[]) AS noted (oid, name) WHERE pg_relation_size(oid) > 0
"""
_WIND_BACK = """
SELECT setval(name::regclass, last_value, is_called)
FROM unnest($1::text[], $2::bigint[], $3::boolean[]) AS noted (name, last_value, is_called)
"""
_NEXT_TRANSACTION = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"


@dataclass(frozen=True)
class _Table:
    oid: int
    name: str
    schema: str
    bare: str
    columns: Sequence[str]
    rows: bytes
    count: int


class Pristine:
    """A database as it is now."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.connection = connection

    async def note(self) -> None:
        """Note what there is."""
        conn = self.connection
        await conn.execute("SET session_replication_role = replica; SET lock_timeout = '5s'")
        found = await conn.fetch(_TABLES)
        await self._vacuum([row["name"] for row in found])  # as they are later, for the planner
        tables = [await self._read(row) for row in found]
        self._tables = {table.name: table for table in tables}
        self._oids = [[table.oid for table in tables], list(self._tables)]
        self._pages = await self._sizes()
        self._sequences: Mapping[str, tuple[Any, ...]] = {
            row["name"]: tuple(
                await conn.fetchrow(f"SELECT last_value, is_called FROM {row['name']}") or ()
            )
            for row in await conn.fetch(_SEQUENCES)
        }
        self._changed = await conn.prepare(
            " UNION ALL ".join(_changed(table) for table in tables if table.count)
            or "SELECT WHERE $1 <> $1"
        )
        self._counted = await conn.prepare(
            " UNION ALL ".join(
                f"SELECT '{name}' AS name, last_value, is_called FROM {name}"
                for name in self._sequences
            )
        )
        self._since = self._noted = await conn.fetchval(_NEXT_TRANSACTION)
        self._schema = await conn.fetchval(_SCHEMA, self._noted)

    async def _read(self, row: asyncpg.Record) -> _Table:
        rows = BytesIO()
        copied = await self.connection.copy_from_table(
            row["bare"],
            schema_name=row["schema"],
            columns=row["columns"],
            output=rows,
            format="binary",
        )
        return _Table(**row, rows=rows.getvalue(), count=int(copied.split()[1]))

    async def restore(self, kept: Sequence[int]) -> bool:
        """Take back what was written since; False if that is not possible.

        Sessions other than those that are kept are ended: nobody writes meanwhile.
        """
        conn = self.connection
        await conn.execute(_END_OTHERS, kept)
        if await conn.fetchval(_SCHEMA, self._noted) != self._schema:
            return False
        pages = await self._sizes()
        changed = [self._tables[row[0]] for row in await self._changed.fetch(self._since)]
        maybe = [name for name in pages if not self._tables[name].count]
        written = maybe + [table.name for table in changed]
        if written:
            await conn.execute(";".join(f"DELETE FROM {name}" for name in written))
        if grown := [n for n in written if pages[n] > self._pages.get(n, 0) + _MORE_PAGES]:
            await self._vacuum(grown)
        for table in changed:
            await self._write(table)
        await self._wind_back()
        self._since = await conn.fetchval(_NEXT_TRANSACTION)
        return True

    async def _sizes(self) -> Mapping[str, int]:
        """Return how many pages each table has that has any."""
        rows = await self.connection.fetch(_SIZES, *self._oids)
        return {row["name"]: row["pages"] for row in rows}

    async def _vacuum(self, names: Sequence[str]) -> None:
        await self.connection.execute(f"VACUUM (SKIP_DATABASE_STATS) {', '.join(names)}")

    async def _write(self, table: _Table) -> None:
        await self.connection.copy_to_table(
            table.bare,
            schema_name=table.schema,
            columns=table.columns,
            source=BytesIO(table.rows),
            format="binary",
        )

    async def _wind_back(self) -> None:
        if not self._sequences:
            return
        reached = {name: tuple(at) for name, *at in await self._counted.fetch()}
        moved = [name for name, at in reached.items() if at != self._sequences[name]]
        if moved:
            values = zip(*(self._sequences[name] for name in moved), strict=True)
            await self.connection.execute(_WIND_BACK, moved, *values)


def _changed(table: _Table) -> str:
    """Select the name of a table that had rows, if it has others."""
    return (
        f"SELECT '{table.name}' FROM {table.name}"
        f" HAVING count(*) <> {table.count} OR min(age(xmin)) <= age($1::text::xid)"
    )
