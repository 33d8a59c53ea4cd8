"""One PostgreSQL server for the whole run, and a migrated database of its own for each test."""

import asyncio
import fcntl
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import pytest

from mpanel_billing.database.migrations import migrate
from mpanel_billing.dev.data import exclusively
from mpanel_billing.dev.postgres import EmbeddedPostgres

_RUN_DIR = pytest.StashKey[Path]()
_HOLD = pytest.StashKey[IO[str]]()
_PREFIX = "mpb-tests-"
_TEMPLATE = "billing_template"
_numbers = itertools.count(1)

_MEMORY = Path("/dev/shm")
_NEEDED_BYTES = 2 * 1024**3


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


@pytest.fixture(scope="session")
def run_dir(pytestconfig: pytest.Config) -> Path:
    """A folder that all workers of this run share."""
    return pytestconfig.stash[_RUN_DIR]


@pytest.fixture(scope="session")
def postgres(run_dir: Path) -> EmbeddedPostgres:
    """The server that all workers share: whoever needs it first starts it."""
    server = _server(run_dir)
    with exclusively(run_dir / "lock"):
        server.start()
    return server


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres, run_dir: Path) -> str:
    """The name of a migrated database to clone; nobody may connect to it."""
    finished = run_dir / "template"
    with exclusively(run_dir / "lock"):
        if not finished.exists():
            postgres.drop_database(_TEMPLATE)
            postgres.create_database(_TEMPLATE)
            asyncio.run(migrate(postgres.url(_TEMPLATE)))
            finished.touch()
    return _TEMPLATE


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, template: str, worker_id: str) -> Iterator[str]:
    """The URL of a migrated database without rows, for this test alone."""
    name = f"{worker_id}_{next(_numbers)}"
    postgres.create_database(name, template)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres, worker_id: str) -> Iterator[str]:
    """The URL of a database without any schema, for this test alone."""
    name = f"{worker_id}_{next(_numbers)}"
    postgres.create_database(name)
    yield postgres.url(name)
    postgres.drop_database(name)


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
