"""The queries of the schema itself: its version, the migration lock, invalid indexes."""

from collections.abc import Sequence

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_migrations = load_queries("migrations")
_health = load_queries("health")


async def get_schema_version(conn: Connection) -> str | None:
    """Return the latest version applied; UndefinedTableError without our schema."""
    version: str | None = await _migrations.get_schema_version.fetch_value(conn)
    return version


async def try_migration_lock(conn: Connection) -> bool:
    """Take the session's lock for migrations; False if another session holds it."""
    return bool(await _migrations.try_migration_lock.fetch_value(conn))


async def list_invalid_indexes(conn: Connection) -> Sequence[asyncpg.Record]:
    """Return index_name and drop_statement of each index that a failed migration left behind."""
    return await _migrations.list_invalid_indexes.fetch(conn)


async def ping(conn: Connection) -> None:
    """Make a round trip to the database."""
    await _health.answer.execute(conn)
