"""What a role may run, asked of PostgreSQL."""

import asyncpg

from mpanel_billing.database.privileges import Process
from mpanel_billing.database.queries import Connection, all_queries
from mpanel_billing.dev.call_graph import queries_of
from mpanel_billing.dev.privileges import OF_OTHER_ROLES

_NOT_EXPLAINED = {"privacy.lock_events"}
"""A LOCK; PostgreSQL explains queries only."""


async def refused_queries(session: Connection, process: Process) -> dict[str, str]:
    """Return the queries of a process that the session's role may not run, and why.

    PostgreSQL checks the rights of a statement that it explains.
    """
    refused = {}
    for name in queries_of(process) - OF_OTHER_ROLES - _NOT_EXPLAINED:
        try:
            await session.execute(f"EXPLAIN (GENERIC_PLAN) {all_queries()[name].sql}")
        except asyncpg.InsufficientPrivilegeError as error:
            refused[name] = str(error)
    return refused
