"""Views and routines are applied when their text has changed, with what depends on them."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from mpanel_billing.database import migrations, repeatables
from mpanel_billing.database.migrations import MigrationError
from mpanel_billing.database.queries import Connection
from mpanel_billing.resources import MIGRATIONS, SQL

ONE = "CREATE OR REPLACE VIEW one AS SELECT 1 AS number;"
ABOVE = "CREATE OR REPLACE VIEW above AS SELECT number FROM one;"
TWICE = """CREATE OR REPLACE FUNCTION twice(number integer) RETURNS integer
LANGUAGE sql RETURN number * {factor};"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A source tree with the ledger of our migrations, two views and a routine."""
    folder = tmp_path / "prisma" / "migrations"
    folder.mkdir(parents=True)
    shutil.copy(min(MIGRATIONS.glob("*.sql")), folder)
    for kind in ("views", "routines"):
        (tmp_path / "sql" / kind).mkdir(parents=True)
    write(tmp_path, "views/one.sql", ONE)
    write(tmp_path, "views/above.sql", ABOVE)
    write(tmp_path, "routines/twice.sql", TWICE.format(factor=2))
    return tmp_path


@pytest.fixture
async def connection(empty_database_url: str, tree: Path) -> AsyncIterator[Connection]:
    await migrate(empty_database_url, tree)
    connected = await asyncpg.connect(empty_database_url)
    yield connected
    await connected.close()


def write(tree: Path, file: str, text: str) -> None:
    (tree / "sql" / file).write_text(text)


async def migrate(url: str, tree: Path) -> list[str]:
    return await migrations.migrate(url, migrations=tree / "prisma" / "migrations")


def test_a_text_comes_after_those_that_it_names(tree: Path) -> None:
    files = list(repeatables.texts_of(tree / "sql"))
    assert files.index("views/one.sql") < files.index("views/above.sql")


@pytest.mark.parametrize("kind", ["views", "routines"])
def test_each_file_holds_the_object_that_it_is_named_after(kind: str) -> None:
    word = {"views": "VIEW", "routines": "FUNCTION"}[kind]
    for path in (SQL / kind).glob("*.sql"):
        assert path.read_text().count("CREATE ") == 1
        assert f"CREATE OR REPLACE {word} {path.stem}" in path.read_text()


async def test_only_what_has_changed_is_applied(
    connection: Connection, empty_database_url: str, tree: Path
) -> None:
    assert await connection.fetchval("SELECT twice(number) FROM above") == 2
    assert await migrate(empty_database_url, tree) == []
    write(tree, "routines/twice.sql", TWICE.format(factor=20))
    assert await migrate(empty_database_url, tree) == ["sql/routines/twice.sql"]
    assert await connection.fetchval("SELECT twice(number) FROM above") == 20
    assert await migrate(empty_database_url, tree) == []


async def test_what_was_dropped_by_other_means_is_made_again(
    connection: Connection, empty_database_url: str, tree: Path
) -> None:
    await connection.execute("DROP VIEW above; DROP FUNCTION twice")
    applied = await migrate(empty_database_url, tree)
    assert sorted(applied) == ["sql/routines/twice.sql", "sql/views/above.sql"]


async def test_an_object_whose_file_is_gone_is_dropped(
    connection: Connection, empty_database_url: str, tree: Path
) -> None:
    (tree / "sql/views/above.sql").unlink()
    (tree / "sql/routines/twice.sql").unlink()
    assert await migrate(empty_database_url, tree) == []
    assert await connection.fetchval("SELECT to_regclass('above')") is None
    assert await connection.fetchval("SELECT to_regproc('twice')") is None
    assert await connection.fetchval("SELECT count(*) FROM billing_schema_texts") == 1


async def test_a_view_whose_columns_change_is_made_again_with_owner_and_grants(
    connection: Connection, empty_database_url: str, tree: Path, worker_id: str
) -> None:
    reader, owner = f"reader_{worker_id}", f"owner_{worker_id}"
    await connection.execute(f"""
        CREATE ROLE {reader};
        CREATE ROLE {owner};
        GRANT SELECT ON one, above TO {reader} WITH GRANT OPTION;
        GRANT SELECT (number) ON above TO PUBLIC;
        ALTER VIEW above OWNER TO {owner};
        ALTER VIEW one OWNER TO {owner};
    """)
    rights = """
        SELECT c.relname, pg_get_userbyid(c.relowner), a.attacl::text,
            coalesce(c.relacl, acldefault('r', c.relowner))::text
        FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'number'
        WHERE c.relname IN ('one', 'above') ORDER BY 1
    """
    before = await connection.fetch(rights)
    try:
        write(
            tree, "views/one.sql", "CREATE OR REPLACE VIEW one AS SELECT 'x' AS more, 2 AS number"
        )
        assert await migrate(empty_database_url, tree) == ["sql/views/one.sql"]
        assert await connection.fetchval("SELECT number FROM above") == 2
        assert await connection.fetch(rights) == before
        assert await migrate(empty_database_url, tree) == []
    finally:
        await connection.execute(
            f"DROP OWNED BY {reader}, {owner} CASCADE; DROP ROLE {reader}, {owner}"
        )


async def test_a_foreign_view_on_one_of_ours_is_named_and_nothing_is_changed(
    connection: Connection, empty_database_url: str, tree: Path
) -> None:
    await connection.execute("CREATE VIEW report AS SELECT number FROM above")
    write(tree, "views/one.sql", "CREATE OR REPLACE VIEW one AS SELECT 'x' AS more, 2 AS number")
    with pytest.raises(MigrationError, match="view report depends on view above"):
        await migrate(empty_database_url, tree)
    assert await connection.fetchval("SELECT number FROM report") == 1


async def test_a_broken_text_is_named_and_nothing_is_changed(
    connection: Connection, empty_database_url: str, tree: Path
) -> None:
    write(tree, "routines/twice.sql", TWICE.format(factor=20))
    write(tree, "views/one.sql", "CREATE OR REPLACE VIEW one AS SELECT nothing AS number")
    with pytest.raises(MigrationError, match=r"sql/views/one\.sql: .*nothing"):
        await migrate(empty_database_url, tree)
    assert await connection.fetchval("SELECT twice(number) FROM above") == 2


async def test_going_down_drops_them_first(
    connection: Connection, empty_database_url: str, tree: Path
) -> None:
    await migrations.rollback(empty_database_url, migrations=tree / "prisma" / "migrations")
    assert await connection.fetchval("SELECT to_regclass('one')") is None
    assert await connection.fetchval("SELECT to_regproc('twice')") is None


async def test_they_are_still_there_if_going_down_fails(
    connection: Connection, empty_database_url: str, tree: Path
) -> None:
    (ledger,) = (tree / "prisma" / "migrations").glob("*.sql")
    broken = "-- migrate:up\n-- migrate:down\nDROP TABLE nowhere;\n"
    (ledger.parent / "20261126000150_break.sql").write_text(broken)
    await migrate(empty_database_url, tree)
    with pytest.raises(MigrationError, match="nowhere"):
        await migrations.rollback(empty_database_url, migrations=ledger.parent)
    assert await connection.fetchval("SELECT twice(number) FROM above") == 2


async def test_those_of_a_newer_schema_are_left_alone(
    connection: Connection, empty_database_url: str, tree: Path
) -> None:
    newer = tree / "prisma" / "migrations" / "20991231000000_newer.sql"
    newer.write_text("-- migrate:up\nSELECT 1;\n-- migrate:down\n")
    await migrate(empty_database_url, tree)
    newer.unlink()
    write(tree, "routines/twice.sql", TWICE.format(factor=20))
    assert await migrate(empty_database_url, tree) == []
    assert await connection.fetchval("SELECT twice(number) FROM above") == 2
