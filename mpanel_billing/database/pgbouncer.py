"""Connections through PgBouncer in transaction mode.

Between two transactions PgBouncer may move a connection to another server process. So nothing may
outlive a transaction: no prepared statement, no LISTEN, no session lock. Code that needs one of
them connects to DATABASE_DIRECT_URL.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import asyncpg

if TYPE_CHECKING:
    _Connection = asyncpg.Connection[asyncpg.Record]
else:  # generic in its stubs only
    _Connection = asyncpg.Connection


class BouncingConnection(_Connection):
    """Runs each statement within a transaction, its own if there is none.

    A statement with arguments is parsed in one message and run in the next. Outside of a
    transaction the second could reach a server process that has not parsed it.
    """

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        """Return all rows."""
        async with self._in_transaction():
            return await super().fetch(query, *args, **options)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        """Return the first row, or None."""
        async with self._in_transaction():
            return await super().fetchrow(query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        """Return one column of the first row, or None."""
        async with self._in_transaction():
            return await super().fetchval(query, *args, **options)

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        """Run it for its effect; without arguments, as for BEGIN, it is a single message."""
        if not args:
            return await super().execute(query, **options)
        async with self._in_transaction():
            return await super().execute(query, *args, **options)

    @asynccontextmanager
    async def _in_transaction(self) -> AsyncIterator[None]:
        if self.is_in_transaction():
            yield
            return
        async with self.transaction():
            yield
