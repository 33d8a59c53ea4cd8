"""The named queries of sql/queries, as typed callables.

aiosql reads the queries and turns named parameters into PostgreSQL's. This module adds checks: a
call with unknown or missing parameters is an error. A query is read when it is first used, because
reading all takes a third of the CPU in which `serve` starts. Why:
docs/decisions/0002-named-queries.md.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
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
"""The name of each statement that was used, for traces."""


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
    """The queries of one file, each an attribute; each is read when it is first used."""

    def __init__(self, aggregate: str) -> None:
        """Take `sql/queries/<aggregate>.sql`."""
        self.aggregate = aggregate

    @cached_property
    def texts(self) -> Mapping[str, str]:
        """The text of each query by its name, as the file has it."""
        text = (QUERIES / f"{self.aggregate}.sql").read_text()
        return {match["name"]: match[0] for match in _QUERY.finditer(text)}

    @property
    def by_name(self) -> Mapping[str, Query]:
        """All queries of the file."""
        return {name: getattr(self, name) for name in self.texts}

    def __getattr__(self, name: str) -> Query:
        if name not in self.texts:
            msg = f"sql/queries/{self.aggregate}.sql has no query {name}"
            raise AttributeError(msg)
        adapter = AsyncPGAdapter()  # type: ignore[no-untyped-call]
        loaded = aiosql.from_str(self.texts[name], lambda: adapter)
        query = Query(name, getattr(loaded, name).sql, tuple(adapter.var_sorted[name]))
        _NAMES[query.sql] = f"{self.aggregate}.{name}"
        setattr(self, name, query)
        return query


_QUERY = re.compile(r"^-- name: (?P<name>\w+).*?(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)


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
