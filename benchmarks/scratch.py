"""A database to try things on."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from mpanel_billing.database.migrations import migrate
from mpanel_billing.database.queries import Connection
from mpanel_billing.dev.postgres import EmbeddedPostgres


@asynccontextmanager
async def scratch(folder: Path) -> AsyncIterator[Connection]:
    """Yield a connection to a migrated database without rows, on a server of its own."""
    with EmbeddedPostgres(folder / "postgres") as postgres:
        postgres.create_database("scratch")
        await migrate(postgres.url("scratch"))
        conn = await asyncpg.connect(postgres.url("scratch"))
        yield conn
        await conn.close()


async def attempt(conn: Connection, statement: str) -> str:
    """Run a statement; answer with its tag, or with what PostgreSQL has against it."""
    try:
        return await conn.execute(statement)
    except asyncpg.PostgresError as error:
        return f"refused: {error}"
