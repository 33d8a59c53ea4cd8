"""Run dbmate over `prisma/migrations`, then apply the views and routines of `sql`.

Everything here can be repeated after a failure.
"""

import asyncio
import hashlib
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import asyncpg

from mpanel_billing.database import repeatables, repository
from mpanel_billing.database.connecting import (
    NoServerError,
    connect,
    disconnect,
    find_writable,
)
from mpanel_billing.database.dbmate import DbmateMissingError, run_dbmate
from mpanel_billing.database.queries import Connection
from mpanel_billing.database_url import is_socket, leaves_tls_open, read_database_url, with_params
from mpanel_billing.errors import BillingError, DatabaseUnavailableError, SettingsError
from mpanel_billing.resources import IS_PACKAGED, MIGRATIONS

logger = logging.getLogger(__name__)

TABLE = "billing_schema_migrations"
LOCK_TIMEOUT_MS = 2500
"""How long a statement waits for a lock, and blocks what queues behind it."""

_TRIES = 8
_FIRST_PAUSE_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0
_LOCKED_OUT = re.compile(r"\((55P03|40P01)\)")
"""lock_not_available, deadlock_detected: as dbmate prints PostgreSQL's codes."""
_STATUS_LINE = re.compile(r"^\[([ X])\] (\S+)$", re.MULTILINE)


class MigrationError(BillingError):
    """A migration cannot be run; the message is dbmate's or PostgreSQL's."""

    code = "migration_failed"


class ObsoleteSchemaError(MigrationError):
    """The schema is older than the oldest migration, and cannot be migrated."""


class _LockedOutError(MigrationError):
    """Another session holds a lock that a migration needs; a retry may succeed.

    `printed` is dbmate's output so far.
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
    """Apply pending migrations, then changed files of `sql`; return the files applied.

    Each statement waits for locks at most LOCK_TIMEOUT_MS (a `lock_timeout` in the URL wins). A
    file that is locked out is retried a limited number of times. If several runs overlap, one
    migrates and the others wait for it in the same way. Views and routines are in `sql` of the
    source tree that `migrations` belongs to. Raises MigrationError, and DatabaseUnavailableError
    if there is no database.
    """

    async def step(connection: Connection, done: list[str]) -> None:
        await _refuse_obsolete(connection, migrations)
        await _drop_invalid_indexes(connection)
        try:
            done += _names_after("Applied", await _run_dbmate(url, "migrate", migrations))
        except _LockedOutError as error:
            done += _names_after("Applied", error.printed)
            raise
        done += await _apply_texts(connection, migrations)

    url = await _address(url)
    return await _with_retries(url, step)


async def rollback(url: str, *, migrations: Path = MIGRATIONS) -> str:
    """Undo the latest migration and return its file's name; drops all views and routines first.

    Waits for locks and raises as `migrate` does; MigrationError also if there is none to undo.
    `migrate` of the code that belongs to the older schema creates its views and routines.
    """

    async def step(connection: Connection, done: list[str]) -> None:
        async with _migration_errors():
            await repeatables.remove(connection)
        try:
            done += _names_after("Rolled back", await _run_dbmate(url, "rollback", migrations))
        except MigrationError:
            await _apply_texts(connection, migrations)
            raise

    url = await _address(url)
    return (await _with_retries(url, step))[0]


async def status(url: str, *, migrations: Path = MIGRATIONS) -> list[Migration]:
    """Return all migrations in order."""
    url = await _address(url)
    output = await _run_dbmate(url, "status", migrations)
    return [Migration(file, mark == "X") for mark, file in _STATUS_LINE.findall(output)]


async def new(name: str, *, migrations: Path = MIGRATIONS) -> Path:
    """Create an empty migration file, with the current time (UTC) as version; return its path.

    MigrationError in an installed package: a file there would be lost with the next release.
    """
    if IS_PACKAGED and migrations == MIGRATIONS:
        raise MigrationError(
            "new migrations are written in a checkout of the repository, "
            "not in an installed package"
        )
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        message = (
            f"{name!r} is not a valid migration name: use lower case letters, digits, underscores"
        )
        raise MigrationError(message)
    output = await _run_dbmate("", "new", migrations, name)
    return migrations / Path(output.split(": ", 1)[1].strip()).name


async def schema_version(connection: Connection) -> str | None:
    """Return the version of the latest migration applied; None on a database without any."""
    try:
        return await repository.get_schema_version(connection)
    except asyncpg.UndefinedTableError:
        return None


def expected_version(migrations: Path = MIGRATIONS) -> str:
    """Return the version that this code needs: the newest file's."""
    return _versions(migrations)[-1]


def digest_migrations(migrations: Path = MIGRATIONS) -> dict[str, str]:
    """Return a digest of each file's statements: a comment or a blank line changes none."""
    return {path.name: _digest(path.read_text()) for path in sorted(migrations.glob("*.sql"))}


def _digest(text: str) -> str:
    lines = [line.strip() for line in text.splitlines()]
    said = [line for line in lines if line and (not line.startswith("--") or "migrate:" in line)]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


async def _with_retries(
    url: str, step: Callable[[Connection, list[str]], Awaitable[None]]
) -> list[str]:
    """Repeat `step` until it is not locked out; return what all its runs added to `done`.

    On a busy database every file may be locked out once, so only tries without progress count.
    """
    done: list[str] = []
    tries = 0
    while True:
        before = len(done)
        try:
            async with _migration_session(url) as connection:
                await step(connection, done)
                return done
        except _LockedOutError as error:
            tries = 1 if len(done) > before else tries + 1
            if tries == _TRIES:
                message = f"gave up after {_TRIES} tries: {error.message}"
                raise MigrationError(message) from error
            pause = min(_FIRST_PAUSE_SECONDS * 2 ** (tries - 1), _LONGEST_PAUSE_SECONDS)
            logger.warning("%s; trying again in %.1f s", error.message, pause)
        await asyncio.sleep(pause)


@asynccontextmanager
async def _migration_session(url: str) -> AsyncIterator[Connection]:
    try:
        connection = await connect(url)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _unavailable(error) from error
    try:
        if not await repository.try_migration_lock(connection):
            raise _LockedOutError("another migration is running")
        yield connection
    finally:
        await disconnect(connection)


async def _refuse_obsolete(connection: Connection, migrations: Path) -> None:
    applied = await _applied_versions(connection)
    if applied and applied[0] < _versions(migrations)[0]:
        message = (
            f"the database has migrations from before the first release ({applied[0]}), which no "
            "longer exist: start with a new database"
        )
        raise ObsoleteSchemaError(message)


async def _applied_versions(connection: Connection) -> list[str]:
    try:
        return await repository.list_applied_versions(connection)
    except asyncpg.UndefinedTableError:
        return []


async def _drop_invalid_indexes(connection: Connection) -> None:
    for index in await repository.list_invalid_indexes(connection):
        logger.warning("dropping %s, left invalid by a failed migration", index["index_name"])
        async with _migration_errors(index["index_name"]):
            await connection.execute(index["drop_statement"])


async def _apply_texts(connection: Connection, migrations: Path) -> list[str]:
    """Apply views and routines, unless the schema is newer: then they belong to newer code."""
    applied = await _applied_versions(connection)
    if applied and applied[-1] > expected_version(migrations):
        logger.warning("the schema is newer than this code: its views and routines are left alone")
        return []
    async with _migration_errors():
        return await repeatables.apply(connection, repeatables.texts_of(_sql(migrations)))


@asynccontextmanager
async def _migration_errors(name: str = "views and routines") -> AsyncIterator[None]:
    """Translate PostgreSQL's errors; those about locks can be retried."""
    try:
        yield
    except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
        raise _LockedOutError(f"{name}: {error}") from error
    except asyncpg.PostgresError as error:
        parts = (*getattr(error, "__notes__", (name,)), str(error).replace("\n", "; "))
        raise MigrationError(": ".join(parts)) from error


def _sql(migrations: Path) -> Path:
    return migrations.parents[1] / "sql"


def _versions(migrations: Path) -> list[str]:
    return sorted(path.name.split("_", 1)[0] for path in migrations.glob("*.sql"))


async def _run_dbmate(url: str, command: str, migrations: Path, *arguments: str) -> str:
    options = [f"--migrations-dir={migrations}", f"--migrations-table={TABLE}", "--no-dump-schema"]
    try:
        status, printed, complaint = await run_dbmate(url, *options, command, *arguments)
    except DbmateMissingError as error:
        message = "the program dbmate is missing: install mpanel-billing again"
        raise MigrationError(message) from error
    if status != 0:
        raise _error_of(printed, complaint.strip().removeprefix("Error: "))
    return printed


def _error_of(printed: str, complaint: str) -> MigrationError:
    """Add the name of the file at which dbmate failed."""
    files = re.findall(r"^(?:Applying|Rolling back): (\S+)", printed, re.MULTILINE)
    message = f"{files[-1]}: {complaint}" if files else complaint
    if _LOCKED_OUT.search(complaint):
        return _LockedOutError(message, printed)
    return MigrationError(message)


def _names_after(label: str, output: str) -> list[str]:
    return re.findall(rf"^{label}: (\S+)", output, re.MULTILINE)


def _with_lock_timeout(url: str) -> str:
    """Add our lock_timeout; refuse a malformed URL, whose password dbmate would print."""
    try:
        text = read_database_url(url).text
    except ValueError as error:
        raise SettingsError(f"DATABASE_URL: {error}") from None
    given = dict(parse_qsl(urlsplit(text).query))
    return text if "lock_timeout" in given else with_params(text, lock_timeout=str(LOCK_TIMEOUT_MS))


async def _address(url: str) -> str:
    """Return the address of a single server that dbmate and asyncpg understand alike."""
    url = _with_lock_timeout(url)
    try:
        url = await find_writable(url)
    except NoServerError as error:
        raise _unavailable(error) from error
    return await _decide_tls(url)


def _unavailable(error: Exception) -> DatabaseUnavailableError:
    reason = str(error) or type(error).__name__
    return DatabaseUnavailableError(f"cannot connect to the database: {reason}")


async def _decide_tls(url: str) -> str:
    """Return the address with TLS if the server has it, as the service uses it.

    Without `sslmode`, asyncpg tries with TLS, then without; dbmate insists on TLS.
    """
    if not leaves_tls_open(url):
        return url
    if is_socket(url):
        return with_params(url, sslmode="disable")
    encrypted = with_params(url, sslmode="require")
    try:
        connection = await connect(encrypted)
    except OSError:  # rejected; if there is no server at all, the next connection says so
        return with_params(url, sslmode="disable")
    except (asyncpg.PostgresError, asyncpg.InterfaceError):
        return encrypted
    await disconnect(connection)
    return encrypted
