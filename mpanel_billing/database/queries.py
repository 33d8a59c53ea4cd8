"""The named queries of sql/queries, as typed callables.

aiosql reads the files and turns named parameters into PostgreSQL's. This module adds checks: a
call with unknown or missing parameters is an error, and an unknown name fails when the program
starts, not when the query is first used. Why: docs/decisions/0002-named-queries.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import aiosql
import asyncpg
from aiosql.adapters.asyncpg import AsyncPGAdapter

from mpanel_billing.resources import QUERIES

Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)
"""What a repository function gets; the service opens the transaction."""


_NAMES: dict[str, str] = {}
"""The name of each loaded statement, for traces."""


@dataclass(frozen=True, slots=True)
class Query:
    """One named query; parameters are passed by name."""

    name: str
    sql: str
    parameters: tuple[str, ...]

    async def fetch(self, conn: Connection, **params: object) -> Sequence[asyncpg.Record]:
        """Return all rows."""
        return await conn.fetch(self.sql, *self._order(params))

    async def fetch_one(self, conn: Connection, **params: object) -> asyncpg.Record | None:
        """Return the first row, or None."""
        return await conn.fetchrow(self.sql, *self._order(params))

    async def fetch_value(self, conn: Connection, **params: object) -> Any:
        """Return the first column of the first row, or None."""
        return await conn.fetchval(self.sql, *self._order(params))

    async def execute(self, conn: Connection, **params: object) -> None:
        """Run it for its effect."""
        await conn.execute(self.sql, *self._order(params))

    def _order(self, params: dict[str, object]) -> list[object]:
        if params.keys() != set(self.parameters):
            msg = f"query {self.name} takes {sorted(self.parameters)}, was given {sorted(params)}"
            raise TypeError(msg)
        return [params[name] for name in self.parameters]


class Queries:
    """The queries of one file, each an attribute."""

    def __init__(self, aggregate: str) -> None:
        """Read `sql/queries/<aggregate>.sql`."""
        adapter = AsyncPGAdapter()  # type: ignore[no-untyped-call]
        loaded = aiosql.from_str(_statements_of(aggregate), lambda: adapter)
        self.aggregate = aggregate
        self.by_name = {
            name: Query(name, getattr(loaded, name).sql, tuple(adapter.var_sorted[name]))
            for name in loaded.available_queries
            if not name.endswith("_cursor")
        }
        _NAMES.update((query.sql, f"{aggregate}.{name}") for name, query in self.by_name.items())

    def __getattr__(self, name: str) -> Query:
        try:
            return self.by_name[name]
        except KeyError:
            msg = f"sql/queries/{self.aggregate}.sql has no query {name}"
            raise AttributeError(msg) from None


def _statements_of(aggregate: str) -> str:
    """Return the text of a file without its header: aiosql takes long for each character."""
    text = (QUERIES / f"{aggregate}.sql").read_text()
    return text[text.index("-- name:") :]


def load_queries(aggregate: str) -> Queries:
    """Read `sql/queries/<aggregate>.sql`; then `queries.get_price.fetch_one(conn, id=...)`."""
    return Queries(aggregate)


@cache
def all_queries() -> Mapping[str, Query]:
    """Return every named query, by names such as `inbox.insert_events`."""
    return {
        f"{path.stem}.{name}": query
        for path in sorted(QUERIES.glob("*.sql"))
        for name, query in load_queries(path.stem).by_name.items()
    }


def name_of(statement: str) -> str:
    """Return a statement's name, such as `inbox.insert_events`, else its first word."""
    return _NAMES.get(statement) or statement.lstrip().split(None, 1)[0].rstrip(";").upper()
