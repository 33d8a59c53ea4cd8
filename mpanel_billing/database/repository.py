"""Queries about the schema: what is applied, the migration lock, invalid indexes."""

from collections.abc import Mapping, Sequence

import asyncpg

from mpanel_billing.database.privileges import Need
from mpanel_billing.database.queries import Connection, load_queries

_migrations = load_queries("migrations")
_health = load_queries("health")
_privileges = load_queries("privileges")


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


async def list_applied_versions(conn: Connection) -> list[str]:
    """Return the versions applied, in order; UndefinedTableError without our schema."""
    return [row["version"] for row in await _migrations.list_applied_versions.fetch(conn)]


async def list_texts(conn: Connection) -> Mapping[str, bytes]:
    """Return the digest of each view and routine applied, by file; UndefinedTableError as above."""
    return {row["file"]: row["digest"] for row in await _migrations.list_texts.fetch(conn)}


async def record_text(conn: Connection, file: str, digest: bytes) -> None:
    """Note that a view or routine has been applied."""
    await _migrations.record_text.execute(conn, file=file, digest=digest)


async def forget_text(conn: Connection, file: str) -> None:
    """Note that a view or routine has been dropped."""
    await _migrations.forget_text.execute(conn, file=file)


async def list_view_rights(conn: Connection, views: Sequence[str]) -> list[str]:
    """Return the statements that restore the owner and grants of recreated views."""
    rows = await _migrations.list_view_rights.fetch(conn, views=views)
    return [row["statement"] for row in rows]


async def is_read_only(conn: Connection) -> bool:
    """Return whether the database refuses writes."""
    return bool(await _health.is_read_only.fetch_value(conn))


async def ping(conn: Connection) -> None:
    """Make a round trip to the database."""
    await _health.ping.execute(conn)


async def list_columns(conn: Connection) -> Sequence[asyncpg.Record]:
    """Return table_oid, table_name, number and column_name of each table and view of the schema."""
    return await _privileges.list_columns.fetch(conn)


async def list_sequences(conn: Connection) -> Sequence[asyncpg.Record]:
    """Return table_name and sequence_name where a column's default reads a sequence."""
    return await _privileges.list_sequences.fetch(conn)


async def list_routines(conn: Connection) -> Sequence[asyncpg.Record]:
    """Return routine_oid, name, body and triggered_by, the tables whose triggers run it."""
    return await _privileges.list_routines.fetch(conn)


async def list_privileges(conn: Connection, role: str) -> frozenset[Need]:
    """Return what a role may do in the schema public, by whatever grant."""
    rows = await _privileges.list_privileges.fetch(conn, role=role)
    return frozenset(Need(*row) for row in rows)


async def list_runtime_roles(conn: Connection) -> list[str]:
    """Return the roles that may store events by a grant: those of the web and of the worker."""
    return [row["role"] for row in await _privileges.list_runtime_roles.fetch(conn)]


async def get_role(conn: Connection, role: str | None = None) -> asyncpg.Record:
    """Return name, superuser, owner (of a table) and creates (tables) of a role, else our own."""
    [row] = await _privileges.get_role.fetch(conn, role=role)
    return row
