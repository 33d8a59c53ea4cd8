"""Places that are gone afterwards: a folder, and a database to try things on."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from mpanel_billing.database.migrations import migrate
from mpanel_billing.database.queries import Connection
from mpanel_billing.dev.postgres import EmbeddedPostgres


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a folder in which the server can keep its data, whichever user it runs as.

    A server that cannot pass through the folder keeps its data elsewhere, for ever.
    """
    with tempfile.TemporaryDirectory(prefix="mpb-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


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
