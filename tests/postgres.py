"""One PostgreSQL server for the whole run, and a migrated database as new for each test."""

import asyncio
import fcntl
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import IO, Any, TypeVar

import asyncpg
import pytest

from mpanel_billing.database.migrations import migrate
from mpanel_billing.dev.data import exclusively
from mpanel_billing.dev.postgres import SUPERUSER, EmbeddedPostgres
from tests.pristine import Pristine
from tests.roles import GRANTED_TEMPLATES, create_roles, grant_to_roles, note_granted
from tests.sessions import end_sessions_of, keep_sessions_of, kept_sessions_of

_RUN_DIR = pytest.StashKey[Path]()
_HOLD = pytest.StashKey[IO[str]]()
_PREFIX = "mpb-tests-"
_TEMPLATE = "billing_template"
_MEMORY = Path("/dev/shm")
_NEEDED_BYTES = 2 * 1024**3

Result = TypeVar("Result")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the run's folder: in the first process, which hands it to xdist's workers.

    In memory where there is room: each test creates and deletes hundreds of small files, which
    some file systems are slow at. Not below pytest's own temporary folder: only root may enter
    that one when root runs the tests, and the server runs as another user.
    """
    if hasattr(config, "workerinput"):
        config.stash[_RUN_DIR] = Path(config.workerinput["run_dir"])
        return
    _remove_abandoned_runs()
    run_dir = config.stash[_RUN_DIR] = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_parent()))
    run_dir.chmod(0o711)
    config.stash[_HOLD] = _hold(run_dir)
    # A run that is asked to end stops its server too, as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["run_dir"] = str(node.config.stash[_RUN_DIR])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server once all workers are done."""
    if _HOLD in config.stash:
        _remove_run(config.stash[_RUN_DIR])
        config.stash[_HOLD].close()


def server_pid(config: pytest.Config) -> int | None:
    """Return the process of the run's server, if it has been started."""
    file = _server(config.stash[_RUN_DIR]).data_dir / "postmaster.pid"
    return int(file.read_text().split()[0]) if file.exists() else None


@pytest.fixture(scope="session")
def run_dir(pytestconfig: pytest.Config) -> Path:
    """A folder that all workers of this run share."""
    return pytestconfig.stash[_RUN_DIR]


MakeServer = Callable[..., EmbeddedPostgres]


@pytest.fixture(scope="session")
def make_server(run_dir: Path) -> MakeServer:
    """Makes a server that a test may stop; it does not run yet.

    Its data are a copy of what initdb has made once: that takes a second of CPU.
    """
    initialised = run_dir / "initialised"
    with exclusively(run_dir / "lock"):
        if not initialised.exists():
            with EmbeddedPostgres(initialised, durable=False):
                pass

    def make(data_dir: Path, *, port: int | None = None) -> EmbeddedPostgres:
        if not data_dir.exists():
            subprocess.run(["cp", "-a", initialised, data_dir], check=True)
        return EmbeddedPostgres(data_dir, port=port, durable=False)

    return make


@pytest.fixture(scope="session")
def postgres(run_dir: Path, make_server: MakeServer) -> EmbeddedPostgres:
    """The server that all workers share: whoever needs it first starts it."""
    with exclusively(run_dir / "lock"):
        server = make_server(_server(run_dir).data_dir)
        server.start()
        if not (run_dir / "roles").exists():
            asyncio.run(_set_up(server.url("postgres")))
            (run_dir / "roles").touch()
    return server


async def _set_up(url: str) -> None:
    """Create the roles; let nothing run but what tests ask for."""
    await create_roles(url)
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER SYSTEM SET autovacuum = off")
    await connection.execute("SELECT pg_reload_conf()")
    await connection.close()


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres, run_dir: Path) -> str:
    """The name of a migrated database to clone; nobody may connect to it."""
    finished = run_dir / "template"
    with exclusively(run_dir / "lock"):
        if not finished.exists():
            postgres.drop_database(_TEMPLATE)
            postgres.create_database(_TEMPLATE)
            asyncio.run(_migrate_and_grant(postgres.url(_TEMPLATE)))
            finished.touch()
    return _TEMPLATE


async def _migrate_and_grant(url: str) -> None:
    await migrate(url)
    await grant_to_roles(url, SUPERUSER)


@dataclass(frozen=True)
class Stocked:
    """A database to copy, and the state file of its sandbox, unless nothing is there."""

    template: str
    sandbox_state: Path | None


STOCKS = (
    *("sold_once", "ada_who_left", "ada_who_bought"),
    *("metered_shop", "taxed_shop", "shop_in_currencies", "shop_abroad"),
    *("stocked", "priced"),
)
"""The fixtures of what tests begin with (tests/stocks.py); of two, the test gets the first."""


def stocked_of(request: pytest.FixtureRequest) -> Stocked | None:
    """Return what the test begins with, if not with nothing: by the fixtures that it asks for."""
    name = next((one for one in STOCKS if one in request.fixturenames), None)
    return request.getfixturevalue(name) if name else None


@dataclass(frozen=True)
class _Lent:
    """A database that is lent to one test after the other."""

    name: str
    pristine: Pristine

    @classmethod
    async def opened(cls, name: str, url: str) -> "_Lent":
        pristine = Pristine(await asyncpg.connect(url))
        await pristine.note()
        return cls(name, pristine)

    async def close(self) -> None:
        end_sessions_of(self.name)
        self.pristine.connection.terminate()

    async def restore(self) -> bool:
        """Make it as it was; False if that is not possible."""
        try:
            return await self.pristine.restore(kept_sessions_of(self.name))
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            return False  # a test has ended this session too, or has left a lock


class Databases:
    """Creates and drops databases over one connection: a process for each costs twice as much."""

    def __init__(self, postgres: EmbeddedPostgres, worker_id: str) -> None:
        self._postgres = postgres
        self._prefix = worker_id
        self._numbers = itertools.count(1)
        self._used: defaultdict[str, list[_Lent]] = defaultdict(list)
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._connection = self._run(asyncpg.connect(postgres.url("postgres")))

    @contextmanager
    def opened(
        self,
        template: str = "template1",
        *,
        owner: str = SUPERUSER,
        read_only: bool = False,
    ) -> Iterator[str]:
        """Copy a database, and drop the copy afterwards; yields its URL."""
        name = self._copy(template, owner)
        if read_only:
            self.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        try:
            yield self._postgres.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} (FORCE)")

    @contextmanager
    def lent(self, template: str) -> Iterator[str]:
        """Lend a copy that earlier tests have used, and that is as it was; yields its URL.

        It is restored when it is lent again: then nothing of the earlier test runs any more.
        """
        lent = self._lend(template)
        try:
            yield self._postgres.url(lent.name)
        finally:
            self._used[template].append(lent)

    def _lend(self, template: str) -> "_Lent":
        while self._used[template]:
            lent = self._used[template].pop()
            if self._run(lent.restore()):
                return lent
            self._run(lent.close())
            self.execute(f"DROP DATABASE {lent.name} (FORCE)")
        name = self._copy(template)
        lent = self._run(_Lent.opened(name, self._postgres.url(name)))
        keep_sessions_of(name)
        return lent

    def _copy(self, template: str, owner: str = SUPERUSER) -> str:
        name = f"{self._prefix}_{next(self._numbers)}"
        copied = f"TEMPLATE {template} OWNER {owner} STRATEGY file_copy"
        self.execute(f"CREATE DATABASE {name} {copied}")
        if template in GRANTED_TEMPLATES:
            note_granted(self._postgres.url(name))
        return name

    def execute(self, statement: str) -> None:
        """Run a statement as the server's superuser."""
        self._run(self._connection.execute(statement))

    def close(self) -> None:
        for lent in itertools.chain.from_iterable(self._used.values()):
            self._run(lent.close())
        self._run(self._connection.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, step: Coroutine[Any, Any, Result]) -> Result:
        """Wait for a step; in a thread, so that tests can ask for databases while they run."""
        return asyncio.run_coroutine_threadsafe(step, self._loop).result()


@pytest.fixture(scope="session")
def databases(postgres: EmbeddedPostgres, worker_id: str) -> Iterator[Databases]:
    """Makes databases for this process."""
    with closing(Databases(postgres, worker_id)) as opened:
        yield opened


@pytest.fixture
def database_url(
    databases: Databases, template: str, request: pytest.FixtureRequest
) -> Iterator[str]:
    """The URL of a migrated database of this test alone: no rows, or one of `STOCKS`.

    Earlier tests have had it, unless the test is marked with `own_database`: nothing else tells.
    """
    stocked = stocked_of(request)
    used = stocked.template if stocked else template
    own = request.node.get_closest_marker("own_database")
    with databases.opened(used) if own else databases.lent(used) as url:
        yield url


@pytest.fixture(scope="module")
def read_only_url(databases: Databases, template: str) -> Iterator[str]:
    """The URL of a migrated database without rows that refuses writes: for a module's tests."""
    with databases.opened(template, read_only=True) as url:
        yield url


@pytest.fixture
def empty_database_url(databases: Databases) -> Iterator[str]:
    """The URL of a database without any schema, for this test alone."""
    with databases.opened() as url:
        yield url


def _parent() -> Path:
    """Return where runs are kept; containers often give /dev/shm only 64 MB."""
    if os.access(_MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(_MEMORY).free > _NEEDED_BYTES:
        return _MEMORY
    return Path(tempfile.gettempdir())


def _server(run_dir: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(run_dir / "postgres", durable=False)


def _remove_run(run_dir: Path) -> None:
    _server(run_dir).stop()
    shutil.rmtree(run_dir)


def _hold(run_dir: Path) -> IO[str]:
    """Mark the run as alive for as long as this process is: by a lock, gone with its holder."""
    unlocked = run_dir / "starting"
    hold = unlocked.open("w")
    fcntl.flock(hold, fcntl.LOCK_EX)
    unlocked.rename(run_dir / "alive")
    return hold


def _remove_abandoned_runs() -> None:
    """Stop the servers of runs that were killed; other runs may be doing the same."""
    for parent in (_MEMORY, Path(tempfile.gettempdir())):
        for run_dir in parent.glob(f"{_PREFIX}*"):
            with suppress(FileNotFoundError):
                if run_dir.stat().st_uid == os.geteuid():
                    _remove_if_abandoned(run_dir)


def _remove_if_abandoned(run_dir: Path) -> None:
    with (run_dir / "alive").open() as hold, suppress(BlockingIOError):
        fcntl.flock(hold, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove_run(run_dir)
