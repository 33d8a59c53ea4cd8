"""Databases with mPanel's own schema, and what to compare in them."""

import re
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg

from mpanel_billing.database import migrations
from mpanel_billing.database.pool import set_up_connection
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.resources import MIGRATIONS

OWNER = "mpanel"
"""Owns mPanel's database and tables, and is no superuser: the role of DATABASE_URL."""

HERE = Path(__file__).parent
SCHEMA = HERE / "schema.sql"
ROWS = HERE / "rows.sql"
LATER_COLUMNS = HERE / "later_columns.sql"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

_COLUMNS = """
SELECT c.relname AS table_name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
GROUP BY c.relname
"""


def as_role(url: str, role: str) -> str:
    """The same database, as another role."""
    return url.replace("//postgres:@", f"//{role}:@").replace(f"//{OWNER}:@", f"//{role}:@")


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """A session of its own; jsonb comes as Python values."""
    connection = await asyncpg.connect(url)
    await set_up_connection(connection)
    try:
        yield connection
    finally:
        await connection.close()


def administer(postgres: EmbeddedPostgres, statement: str) -> None:
    """Run a statement as the server's superuser."""
    psql = [str(postgres.bin_dir / "psql"), "-Xq", postgres.url("postgres"), "-c", statement]
    subprocess.run(psql, capture_output=True, check=True)


def create_role(postgres: EmbeddedPostgres, role: str) -> None:
    """Create a login role without any privileges; the server is shared, so it may exist already."""
    administer(postgres, f"DROP ROLE IF EXISTS {role}")
    administer(postgres, f"CREATE ROLE {role} LOGIN")


def give_to_owner(postgres: EmbeddedPostgres, database: str) -> None:
    """Make mPanel's role the owner of a database: of its schema public, too."""
    administer(postgres, f'ALTER DATABASE "{database}" OWNER TO {OWNER}')


async def run_files(url: str, files: Sequence[Path]) -> None:
    """Run files of SQL."""
    async with connected(url) as connection:
        for file in files:
            await connection.execute(file.read_text())


async def roll_back_all(url: str, *, migrations_dir: Path = MIGRATIONS) -> None:
    """Go down to zero."""
    for migration in await migrations.status(url, migrations=migrations_dir):
        if migration.applied:
            await migrations.rollback(url, migrations=migrations_dir)


async def columns_of(connection: Connection) -> dict[str, list[str]]:
    """The columns of every table."""
    return {row["table_name"]: row["columns"] for row in await connection.fetch(_COLUMNS)}


async def rows_of(connection: Connection, columns: dict[str, list[str]]) -> dict[str, Any]:
    """All rows of these tables, by these columns."""
    rows = {}
    for table, names in columns.items():
        listed = ", ".join(f'"{name}"' for name in names)
        found = await connection.fetch(f'SELECT {listed} FROM "{table}" ORDER BY 1')
        rows[table] = [dict(row) for row in found]
    return rows


def dump_schema(programs: Path, url: str) -> str:
    """The whole schema but dbmate's own table, without the dump's random restrict key."""
    command = [
        str(programs / "pg_dump"),
        "--schema-only",
        f"--exclude-table={migrations.TABLE}",
        f"--dbname={url}",
    ]
    dump = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return re.sub(r"^\\(un)?restrict .*$", "", dump, flags=re.MULTILINE)
