import asyncio
import itertools
import logging
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest

from mpanel_billing.database import migrations, repeatables
from mpanel_billing.database.migrations import MigrationError, ObsoleteSchemaError
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.errors import DatabaseUnavailableError, SettingsError
from mpanel_billing.resources import MIGRATIONS, SQL

TABLE = "-- migrate:up\nCREATE TABLE note (text text);\n-- migrate:down\nDROP TABLE note;\n"
COLUMN = (
    "-- migrate:up\nALTER TABLE note ADD COLUMN at timestamptz;\n"
    "-- migrate:down\nALTER TABLE note DROP COLUMN at;\n"
)
INDEX = (
    "-- migrate:up transaction:false\n"
    "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS billing_note_key ON note (text);\n"
    "-- migrate:down transaction:false\nDROP INDEX CONCURRENTLY billing_note_key;\n"
)
BROKEN = "-- migrate:up\nSELECT nothing FROM nowhere;\n-- migrate:down\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Migrations of these tests alone: a table, then a column of it."""
    (tmp_path / "20250101000001_add_note.sql").write_text(TABLE)
    (tmp_path / "20250101000002_add_note_at.sql").write_text(COLUMN)
    return tmp_path


def dump_schema(postgres: EmbeddedPostgres, url: str) -> str:
    """The whole schema but dbmate's own table, without the dump's random restrict key."""
    command = [
        postgres.bin_dir / "pg_dump",
        "--schema-only",
        "--no-owner",
        "--no-privileges",  # those of the roles of other tests
        f"--exclude-table={migrations.TABLE}",
        f"--dbname={url}",
    ]
    dump = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return re.sub(r"^\\(un)?restrict .*$", "", dump, flags=re.MULTILINE)


@contextmanager
def locked_note(url: str, postgres: EmbeddedPostgres) -> Iterator[subprocess.Popen[str]]:
    """Hold the table `note` in another session for as long as the block runs."""
    psql = [postgres.bin_dir / "psql", "-XqAt", url]
    with subprocess.Popen(psql, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        other.stdin.write("BEGIN; LOCK TABLE note; SELECT 'locked';\n")
        other.stdin.flush()
        assert other.stdout.readline() == "locked\n"
        yield other


@pytest.fixture
def warned() -> Iterator[asyncio.Event]:
    """Set once the runner warns that it has to try again."""
    event = asyncio.Event()
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: event.set()
    migrations.logger.addHandler(handler)
    yield event
    migrations.logger.removeHandler(handler)


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_every_migration_applies_to_an_empty_database(empty_database_url):
    applied = await migrations.migrate(empty_database_url)
    files = sorted(path.name for path in MIGRATIONS.glob("*.sql"))
    assert applied == [*files, *(f"sql/{file}" for file in repeatables.texts_of(SQL))]
    listed = await migrations.status(empty_database_url)
    assert [migration.file for migration in listed if migration.applied] == files


async def test_migrating_twice_changes_nothing(database_url, postgres):
    before = dump_schema(postgres, database_url)
    assert await migrations.migrate(database_url) == []
    assert dump_schema(postgres, database_url) == before


async def test_down_to_zero_leaves_an_empty_schema_and_up_again_the_same_one(
    database_url, empty_database_url, postgres
):
    full, empty = (dump_schema(postgres, url) for url in (database_url, empty_database_url))
    for _ in MIGRATIONS.glob("*.sql"):
        await migrations.rollback(database_url)
    assert dump_schema(postgres, database_url) == empty
    await migrations.migrate(database_url)
    assert dump_schema(postgres, database_url) == full


async def test_each_step_up_down_and_up_again_ends_in_the_same_schema(
    database_url, empty_database_url, tmp_path, postgres
):
    """What is left of a step that is undone is in the way of its repetition, or stays."""
    for path in sorted(MIGRATIONS.glob("*.sql")):
        shutil.copy(path, tmp_path)
        await migrations.migrate(empty_database_url, migrations=tmp_path)
        undone = await migrations.rollback(empty_database_url, migrations=tmp_path)
        assert undone == path.name
    await migrations.migrate(empty_database_url)
    assert dump_schema(postgres, empty_database_url) == dump_schema(postgres, database_url)


def test_migration_files_are_named_by_time_and_purpose():
    names = [path.name for path in MIGRATIONS.iterdir()]
    assert all(re.fullmatch(r"\d{14}_[a-z0-9_]+\.sql", name) for name in names)
    versions = [name.split("_")[0] for name in names]
    assert len(versions) == len(set(versions))


async def test_the_schema_is_at_the_version_that_the_code_expects(database_url):
    connection = await asyncpg.connect(database_url)
    assert await migrations.schema_version(connection) == migrations.expected_version()
    await connection.close()


async def test_a_database_without_our_schema_has_no_version(empty_database_url):
    connection = await asyncpg.connect(empty_database_url)
    assert await migrations.schema_version(connection) is None
    await connection.close()


async def test_rolling_back_undoes_the_latest_only(empty_database_url, folder):
    await migrations.migrate(empty_database_url, migrations=folder)
    undone = await migrations.rollback(empty_database_url, migrations=folder)
    assert undone == "20250101000002_add_note_at.sql"
    listed = await migrations.status(empty_database_url, migrations=folder)
    assert [migration.applied for migration in listed] == [True, False]


async def test_rolling_back_nothing_says_so(empty_database_url, folder):
    with pytest.raises(MigrationError, match="no migrations have been applied"):
        await migrations.rollback(empty_database_url, migrations=folder)


async def test_a_broken_migration_is_named_and_leaves_the_ones_before_it(
    empty_database_url, folder
):
    (folder / "20250101000003_break.sql").write_text(BROKEN)
    with pytest.raises(MigrationError, match=r"20250101000003_break\.sql: .*nowhere"):
        await migrations.migrate(empty_database_url, migrations=folder)
    assert await ask(empty_database_url, "SELECT count(at) FROM note") == 0


async def test_a_lock_held_by_others_is_waited_for_in_short_tries(
    empty_database_url, folder, postgres, warned
):
    await migrations.migrate(empty_database_url, migrations=folder)
    await migrations.rollback(empty_database_url, migrations=folder)
    with locked_note(empty_database_url, postgres) as other:
        url = f"{empty_database_url}&lock_timeout=50"
        running = asyncio.create_task(migrations.migrate(url, migrations=folder))
        await warned.wait()
        other.communicate("COMMIT;")
        assert await running == ["20250101000002_add_note_at.sql"]


async def test_a_lock_that_is_never_released_ends_in_an_error(
    empty_database_url, folder, postgres, monkeypatch
):
    monkeypatch.setattr(migrations, "_FIRST_PAUSE_SECONDS", 0.001)
    await migrations.migrate(empty_database_url, migrations=folder)
    with locked_note(empty_database_url, postgres):
        url = f"{empty_database_url}&lock_timeout=10"
        with pytest.raises(MigrationError, match="gave up after 8 tries: 20250101000002"):
            await migrations.rollback(url, migrations=folder)


async def test_an_invalid_index_left_by_a_failure_is_rebuilt(empty_database_url, folder):
    await migrations.migrate(empty_database_url, migrations=folder)
    (folder / "20250101000003_index_note.sql").write_text(INDEX)
    await ask(empty_database_url, "INSERT INTO note (text) VALUES ('twice'), ('twice')")
    with pytest.raises(MigrationError, match="could not create unique index"):
        await migrations.migrate(empty_database_url, migrations=folder)
    await ask(empty_database_url, "DELETE FROM note")
    await migrations.migrate(empty_database_url, migrations=folder)
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'billing_note_key'::regclass"
    assert await ask(empty_database_url, valid) is True


async def test_two_runs_at_once_apply_each_migration_once(empty_database_url, folder):
    (folder / "20250101000003_index_note.sql").write_text(INDEX)
    runs = [migrations.migrate(empty_database_url, migrations=folder) for _ in range(2)]
    applied = itertools.chain.from_iterable(await asyncio.gather(*runs))
    assert sorted(applied) == sorted(path.name for path in folder.iterdir())


async def test_a_database_that_is_older_than_the_oldest_migration_is_refused(
    empty_database_url, folder
):
    await migrations.migrate(empty_database_url, migrations=folder)
    (folder / "20250101000001_add_note.sql").unlink()
    with pytest.raises(ObsoleteSchemaError, match="start with a new database"):
        await migrations.migrate(empty_database_url, migrations=folder)


async def test_a_new_migration_is_an_empty_file_with_both_halves(tmp_path):
    path = await migrations.new("add_order_notes", migrations=tmp_path)
    assert path.name.endswith("_add_order_notes.sql")
    assert "-- migrate:up" in path.read_text()
    assert "-- migrate:down" in path.read_text()


@pytest.mark.parametrize("name", ["", "Add Notes", "../escape", "--help"])
async def test_a_name_that_is_not_a_valid_file_name_is_refused(tmp_path, name):
    with pytest.raises(MigrationError, match="is not a valid migration name"):
        await migrations.new(name, migrations=tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_an_unreachable_database_is_named_as_the_cause(tmp_path):
    url = f"postgresql://nobody@/none?host={tmp_path}"
    with pytest.raises(DatabaseUnavailableError, match="cannot connect"):
        await migrations.migrate(url)


@pytest.mark.parametrize("run", [migrations.migrate, migrations.rollback, migrations.status])
async def test_a_malformed_url_is_refused_without_showing_its_password(run):
    with pytest.raises(SettingsError, match="DATABASE_URL: is not a valid URL"):
        await run("postgresql://mpanel:hidden@db:port/mpanel")


def test_every_index_built_concurrently_is_recognisable_as_ours() -> None:
    """The runner drops invalid leftovers by the names that ours begin with."""
    built = re.compile(r"INDEX CONCURRENTLY IF (?:NOT )?EXISTS (\w+)")
    names = {name for file in MIGRATIONS.glob("*.sql") for name in built.findall(file.read_text())}
    assert names
    assert {name for name in names if not name.startswith("billing_")} == set()
