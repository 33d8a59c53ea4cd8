"""Connections through PgBouncer in transaction mode.

Between two transactions PgBouncer may give a connection another server process. So nothing may
outlive a transaction: no prepared statement, no LISTEN, no session lock. What needs one uses
DATABASE_DIRECT_URL.
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

    A statement with arguments is parsed in one message and run in the next: outside of a
    transaction, a process that has never heard of it might be asked to run it.
    """

    async def fetch(self, query: str, *args: Any, **options: Any) -> Any:
        """All rows."""
        async with self._in_transaction():
            return await super().fetch(query, *args, **options)

    async def fetchrow(self, query: str, *args: Any, **options: Any) -> Any:
        """The first row, or None."""
        async with self._in_transaction():
            return await super().fetchrow(query, *args, **options)

    async def fetchval(self, query: str, *args: Any, **options: Any) -> Any:
        """One column of the first row, or None."""
        async with self._in_transaction():
            return await super().fetchval(query, *args, **options)

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        """Run it for its effect; without arguments it is one message, BEGIN among them."""
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
