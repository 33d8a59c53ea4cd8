"""On PostgreSQL 16, which production runs: migrations on mPanel's database, queries, roles."""

import os
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from mpanel_billing.database import migrations, repeatables, repository
from mpanel_billing.database.grants import grants
from mpanel_billing.database.privileges import RUNTIME, Process, excess, listed, missing
from mpanel_billing.database.queries import load_queries
from mpanel_billing.resources import MIGRATIONS, QUERIES, ROOT, SQL
from tests.granted import refused_queries
from tests.mpanel.databases import (
    LATER_COLUMNS,
    OWNER,
    ROWS,
    SCHEMA,
    columns_of,
    connected,
    dump_schema,
    roll_back_all,
    rows_of,
    run_files,
)
from tests.mpanel.postgres16 import NotInstallableError, Postgres16, install

ALL_FILES = sorted(path.name for path in MIGRATIONS.glob("*.sql"))
ALL_TEXTS = [f"sql/{file}" for file in repeatables.texts_of(SQL)]


@pytest.fixture(scope="module")
def postgres16(run_dir: Path) -> Iterator[Postgres16]:
    try:
        wheel = install(ROOT / ".data")
    except NotInstallableError as error:
        reason = f"PostgreSQL 16 cannot be installed: {error}"
        if os.environ.get("NO_SKIPS"):
            pytest.fail(reason)
        pytest.skip(reason)
    server = Postgres16(wheel, run_dir / "postgres16")
    with server.running():
        yield server


async def make_database(server: Postgres16, name: str) -> str:
    """A database that belongs to mPanel's role, who is no superuser; answers the owner's URL."""
    async with connected(server.url("postgres")) as admin:
        await admin.execute(f"DROP DATABASE IF EXISTS {name}")
        await admin.execute(f"DROP ROLE IF EXISTS {OWNER}")
        await admin.execute(f"CREATE ROLE {OWNER} LOGIN")
        await admin.execute(f"CREATE DATABASE {name} OWNER {OWNER}")
    return server.url(name, OWNER)


@pytest.fixture
async def url16(postgres16: Postgres16) -> str:
    return await make_database(postgres16, "mpanel")


async def test_production_runs_this_version(url16: str) -> None:
    async with connected(url16) as connection:
        assert connection.get_server_version().major == 16


async def test_every_migration_applies_to_mpanels_database_and_goes_back(
    postgres16: Postgres16, url16: str
) -> None:
    await run_files(url16, [SCHEMA, ROWS, LATER_COLUMNS])
    async with connected(url16) as connection:
        schema, columns = dump_schema(postgres16.bin_dir, url16), await columns_of(connection)
        rows = await rows_of(connection, columns)
        assert await migrations.migrate(url16) == [*ALL_FILES, *ALL_TEXTS]
        assert await rows_of(connection, columns) == rows
        await roll_back_all(url16)
        assert dump_schema(postgres16.bin_dir, url16) == schema
        assert await rows_of(connection, columns) == rows


async def test_every_query_can_be_prepared(url16: str) -> None:
    await migrations.migrate(url16)
    async with connected(url16) as connection:
        for file in sorted(QUERIES.glob("*.sql")):
            for query in load_queries(file.stem).by_name.values():
                statement = await connection.prepare(query.sql)
                assert len(statement.get_parameters()) == len(query.parameters), query.name


@pytest.mark.parametrize("processes", [(Process.WEB,), RUNTIME, tuple(Process)])
async def test_a_role_gets_what_its_processes_need(
    postgres16: Postgres16, url16: str, processes: tuple[Process, ...]
) -> None:
    await run_files(url16, [SCHEMA, ROWS, LATER_COLUMNS])
    await migrations.migrate(url16)
    async with connected(postgres16.url("postgres")) as admin:
        await admin.execute('DROP ROLE IF EXISTS "of billing"; CREATE ROLE "of billing" LOGIN')
    async with connected(url16) as owner:
        for _ in range(2):
            await owner.execute(grants(OWNER, "of billing", processes, add_only=False))
        held = await repository.list_privileges(owner, "of billing")
    assert (listed(missing(held, processes)), listed(excess(held, processes))) == ([], [])
    async with connected(postgres16.url("mpanel", "of%20billing")) as session:
        for process in processes:
            assert await refused_queries(session, process) == {}
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await session.fetch("SELECT password_hash FROM users")
