"""Asks PostgreSQL of its own types once in a process, not in each connection.

asyncpg knows few arrays: with the first `uuid[]` of a connection it looks the type up, by a query
that a new connection takes longer to plan than most tests take for all others. PostgreSQL's own
types are the same in each database.
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import asyncpg

_FIRST_OF_USERS = 16384
"""The oid: lower ones are of PostgreSQL's own objects."""

_asked: dict[frozenset[int], Any] = {}
_introspect = asyncpg.Connection._introspect_types  # type: ignore[attr-defined]


def pytest_configure() -> None:
    asyncpg.Connection._introspect_types = _ask_once  # type: ignore[attr-defined]


async def _ask_once(
    conn: asyncpg.Connection, oids: Iterable[int], seconds: float | None
) -> tuple[Any, Any]:
    """Return the types, and the statement that asked: one without a name has replaced another."""
    wanted = frozenset(oids)
    if wanted in _asked:
        return _asked[wanted], SimpleNamespace(name="asked before")
    types, statement = await _introspect(conn, oids, seconds)
    if max(wanted) < _FIRST_OF_USERS:
        _asked[wanted] = types
    return types, statement
