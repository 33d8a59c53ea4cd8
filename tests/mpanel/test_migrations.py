"""Our migrations on mPanel's own database: they only add, and remove what they added."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from mpanel_billing.cli.migrate import app
from mpanel_billing.database import migrations, repeatables
from mpanel_billing.database.migrations import MigrationError
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.resources import MIGRATIONS, SQL
from tests.mpanel.conftest import Clone
from tests.mpanel.databases import (
    Connection,
    as_role,
    columns_of,
    connected,
    create_role,
    dump_schema,
    roll_back_all,
    rows_of,
)
from tests.waiting import until_blocking

ALL_FILES = sorted(path.name for path in MIGRATIONS.glob("*.sql"))
ALL_TEXTS = [f"sql/{file}" for file in repeatables.texts_of(SQL)]
SHARED = ("tenants", "users", "products", "customers", "subscriptions", "invoices")

# Everything that a later version of ours could remove or change, one line each.
_PARTS = """
SELECT format('column %s.%s %s %s %s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
    a.attnotnull, pg_get_expr(d.adbin, d.adrelid))
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
UNION ALL
SELECT format('constraint %s.%s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n'
UNION ALL
SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL
SELECT format('%s %s', pg_get_triggerdef(oid), tgenabled) FROM pg_trigger WHERE NOT tgisinternal
UNION ALL
SELECT format('comment %s %s %s', objoid::regclass, objsubid, description) FROM pg_description
WHERE classoid = 'pg_class'::regclass AND objoid::regclass::text NOT LIKE '%.%'
"""


async def parts_of(connection: Connection) -> set[str]:
    return {row[0] for row in await connection.fetch(_PARTS)}


@pytest.fixture
def warned() -> Iterator[asyncio.Event]:
    """Set once the runner warns that it has to try again."""
    event = asyncio.Event()
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: event.set()  # type: ignore[method-assign]
    migrations.logger.addHandler(handler)
    yield event
    migrations.logger.removeHandler(handler)


async def test_every_migration_applies_to_mpanels_database_and_once_only(mpanel_url: str) -> None:
    assert await migrations.migrate(mpanel_url) == [*ALL_FILES, *ALL_TEXTS]
    assert await migrations.migrate(mpanel_url) == []


def test_the_command_does_it_and_says_what_it_did(
    mpanel_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", mpanel_url)
    for command, said in (
        ("up", f"applied {ALL_FILES[-1]}"),
        ("up", "nothing to do"),
        ("status", "0 pending"),
        ("down", f"rolled back {ALL_FILES[-1]}"),
    ):
        result = CliRunner().invoke(app, [command], catch_exceptions=False)
        assert result.exit_code == 0
        assert said in result.output


async def test_the_role_that_migrates_is_no_superuser(mpanel_url: str) -> None:
    async with connected(mpanel_url) as connection:
        assert await connection.fetchval("SHOW is_superuser") == "off"


async def test_migrating_only_adds(mpanel_url: str) -> None:
    async with connected(mpanel_url) as connection:
        before, columns = await parts_of(connection), await columns_of(connection)
        rows = await rows_of(connection, columns)
        await migrations.migrate(mpanel_url)
        assert before - await parts_of(connection) == set()
        assert await rows_of(connection, columns) == rows


async def test_going_down_to_zero_leaves_the_schema_and_the_rows_as_they_were(
    mpanel_url: str, postgres: EmbeddedPostgres
) -> None:
    async with connected(mpanel_url) as connection:
        schema, columns = dump_schema(postgres.bin_dir, mpanel_url), await columns_of(connection)
        rows = await rows_of(connection, columns)
    await migrations.migrate(mpanel_url)
    await roll_back_all(mpanel_url)
    assert dump_schema(postgres.bin_dir, mpanel_url) == schema
    async with connected(mpanel_url) as connection:
        assert await rows_of(connection, columns) == rows


async def test_what_mpanel_adds_meanwhile_is_never_dropped(clone: Clone) -> None:
    mpanel_url = clone("mpanel")
    async with connected(mpanel_url) as mpanel, connected(mpanel_url) as watch:
        async with mpanel.transaction():
            await mpanel.execute("LOCK TABLE invoices IN SHARE MODE")
            running = asyncio.create_task(migrations.migrate(mpanel_url))
            await until_blocking(mpanel, watch)
            await mpanel.execute("ALTER TABLE invoices ADD COLUMN meanwhile text")
            await mpanel.execute("CREATE TABLE meanwhile (id int)")
        await running
        await roll_back_all(mpanel_url)
        columns = await columns_of(mpanel)
        assert "meanwhile" in columns
        assert "meanwhile" in columns["invoices"]


@asynccontextmanager
async def busy_mpanel(url: str) -> AsyncIterator[AsyncExitStack]:
    """A long report, a row lock and an idle reader on every shared table.

    They are over when the stack is closed.
    """
    async with AsyncExitStack() as sessions:
        report = await sessions.enter_async_context(connected(url))
        await sessions.enter_async_context(report.transaction(isolation="repeatable_read"))
        for table in SHARED:
            await report.fetch(f"SELECT * FROM {table}")
            reader = await sessions.enter_async_context(connected(url))
            await sessions.enter_async_context(reader.transaction())
            await reader.fetch(f"SELECT * FROM {table}")
            writer = await sessions.enter_async_context(connected(url))
            await sessions.enter_async_context(writer.transaction())
            await writer.fetch(f"SELECT * FROM {table} LIMIT 1 FOR UPDATE")
        yield sessions


@pytest.mark.parametrize("done_before", [2, 12, 20])
async def test_ordinary_locks_of_others_are_waited_for_in_short_tries(
    done_before: int, clone: Clone, tmp_path: Path, warned: asyncio.Event
) -> None:
    url = clone("mpanel")
    for name in ALL_FILES[:done_before]:
        shutil.copy(MIGRATIONS / name, tmp_path)
    await migrations.migrate(url, migrations=tmp_path)
    async with busy_mpanel(url) as sessions:
        running = asyncio.create_task(migrations.migrate(f"{url}&lock_timeout=50"))
        await warned.wait()
        await sessions.aclose()
        assert await running == [*ALL_FILES[done_before:], *ALL_TEXTS]
    async with connected(url) as connection:
        assert not await connection.fetch("SELECT 1 FROM pg_index WHERE NOT indisvalid")


@pytest.fixture
def stranger(postgres: EmbeddedPostgres, worker_id: str, clone: Clone) -> str:
    """A role that owns nothing, of this test process alone."""
    role = f"stranger_{worker_id}"
    create_role(postgres, role)
    return role


async def test_a_role_that_does_not_own_the_tables_gets_a_clear_error(
    clone: Clone, stranger: str
) -> None:
    url = clone("mpanel")
    async with connected(url) as connection:
        await connection.execute(f"GRANT CREATE ON SCHEMA public TO {stranger}")
        await connection.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {stranger}")
    expected = (
        f"the role {stranger} cannot add columns to the table customers, which belongs to mpanel"
    )
    with pytest.raises(MigrationError, match=expected):
        await migrations.migrate(as_role(url, stranger))


async def test_a_role_that_may_not_create_tables_gets_a_clear_error(
    clone: Clone, stranger: str
) -> None:
    with pytest.raises(MigrationError, match="permission denied for schema public"):
        await migrations.migrate(as_role(clone("mpanel"), stranger))


async def test_a_customer_whose_address_is_only_in_users_gets_it(database_url: str) -> None:
    async with connected(database_url) as connection:
        rows = await connection.fetch("SELECT user_id IS NULL AS alone, email FROM customers")
    assert {row["alone"]: row["email"] for row in rows} == {
        False: "Grace@Hopper.example",
        True: None,
    }


async def test_every_foreign_key_of_ours_is_found_by_an_index(database_url: str) -> None:
    unindexed = """
        SELECT k.conname FROM pg_constraint AS k
        WHERE k.contype = 'f'
          AND (k.conname LIKE 'billing%' OR NOT k.conrelid::regclass::text = ANY($1))
          AND NOT EXISTS (
              SELECT 1 FROM pg_index AS i
              WHERE i.indrelid = k.conrelid AND i.indkey[0] = k.conkey[1] AND i.indpred IS NULL
          )"""
    mpanels = [*SHARED, "invoice_items", "payments", "domains", "audit_logs"]
    async with connected(database_url) as connection:
        assert await connection.fetch(unindexed, mpanels) == []
