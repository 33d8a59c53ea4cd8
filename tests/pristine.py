"""Makes a database as it was before a test: what the test has written is taken back.

Rows are deleted without triggers, and the tables are vacuumed until they have no pages: the next
rows lie in the order of a new table. A database whose schema, rights or settings a test has changed
cannot be restored.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import asyncpg

_TABLES = """
SELECT c.oid::regclass::text AS name,
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
        f"(SELECT concat(count(*), ' ', max(xmin::text::bigint)) FROM {name})"
        for name in _CATALOGUES
    )
    + """, (SELECT count(*) FROM pg_db_role_setting AS s WHERE s.setdatabase = d.oid),
    d.datallowconn, d.datconnlimit, d.datdba, d.datacl)
FROM pg_database AS d WHERE datname = current_database()
"""
)
"""What a change of the schema, of rights or of settings changes."""

_END_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend'
    AND pid <> pg_backend_pid() AND pid <> ALL($1::integer[])
"""


@dataclass(frozen=True)
class _Table:
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
        self._sequences: Mapping[str, tuple[Any, ...]] = {
            row["name"]: tuple(
                await conn.fetchrow(f"SELECT last_value, is_called FROM {row['name']}") or ()
            )
            for row in await conn.fetch(_SEQUENCES)
        }
        self._written = await conn.prepare(" UNION ALL ".join(_written(table) for table in tables))
        self._counted = await conn.prepare(
            " UNION ALL ".join(
                f"SELECT '{name}' AS name, last_value, is_called FROM {name}"
                for name in self._sequences
            )
        )
        self._schema = await conn.fetchval(_SCHEMA)
        self._since = await self._next_transaction()

    async def _read(self, row: asyncpg.Record) -> _Table:
        rows = BytesIO()
        copied = await self.connection.copy_from_table(
            row["bare"],
            schema_name=row["schema"],
            columns=row["columns"],
            output=rows,
            format="binary",
        )
        return _Table(*row, rows.getvalue(), int(copied.split()[1]))

    async def restore(self, kept: Sequence[int]) -> bool:
        """Take back what was written since; False if that is not possible.

        Sessions other than those that are kept are ended: nobody writes meanwhile.
        """
        conn = self.connection
        await conn.execute(_END_OTHERS, kept)
        if await conn.fetchval(_SCHEMA) != self._schema:
            return False
        written = [self._tables[row[0]] for row in await self._written.fetch(self._since)]
        if written:
            await conn.execute(";".join(f"DELETE FROM {table.name}" for table in written))
            await self._vacuum([table.name for table in written])
        for table in written:
            if table.count:
                await self._write(table)
        await self._wind_back()
        self._since = await self._next_transaction()
        return True

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
        for name, *reached in await self._counted.fetch():
            if tuple(reached) != self._sequences[name]:
                await self.connection.execute(
                    "SELECT setval($1::regclass, $2, $3)", name, *self._sequences[name]
                )

    async def _next_transaction(self) -> int:
        number: int = await self.connection.fetchval(
            "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
        )
        return number


def _written(table: _Table) -> str:
    """Select the name of a table if it has other rows than it had, or did have."""
    if not table.count:
        return (
            f"SELECT '{table.name}' WHERE pg_relation_size('{table.name}') > 0 AND $1 IS NOT NULL"
        )
    return (
        f"SELECT '{table.name}' FROM {table.name}"
        f" HAVING count(*) <> {table.count} OR max(xmin::text::bigint) >= $1::bigint"
    )
