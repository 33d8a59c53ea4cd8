"""One PostgreSQL server for the whole run, and a migrated database of its own for each test."""

import asyncio
import fcntl
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mpanel_billing.database.migrations import migrate
from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.dev.postgres import EmbeddedPostgres
from mpanel_billing.settings import DatabaseSettings
from tests.inbox import Inbox

pytest_plugins = ["tests.service"]

_RUN_DIR = pytest.StashKey[Path]()
_TEMPLATE = "billing_template"
_numbers = itertools.count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Choose the run's folder: in the first process, which hands it to xdist's workers.

    Not below pytest's own temporary folder: only root may enter that one when root runs the
    tests, and the server runs as somebody else.
    """
    config.addinivalue_line("markers", "pm2: runs the service under PM2; skipped where it is not")
    given = getattr(config, "workerinput", {}).get("run_dir")
    config.stash[_RUN_DIR] = Path(given or tempfile.mkdtemp(prefix="mpb-tests-"))
    if not given:
        config.stash[_RUN_DIR].chmod(0o711)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["run_dir"] = str(node.config.stash[_RUN_DIR])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server once all workers are done."""
    if not hasattr(config, "workerinput"):
        run_dir = config.stash[_RUN_DIR]
        _server(run_dir).stop()
        shutil.rmtree(run_dir)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail, rather than skip, what needs a browser or PM2 where NO_SKIPS is set: in CI."""
    report = yield
    if report.skipped and os.environ.get("NO_SKIPS") and {"browser", "pm2"} & item.keywords.keys():
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session")
def run_dir(pytestconfig: pytest.Config) -> Path:
    """A folder that all workers of this run share."""
    return pytestconfig.stash[_RUN_DIR]


@pytest.fixture(scope="session")
def postgres(run_dir: Path) -> EmbeddedPostgres:
    """The server that all workers share: whoever needs it first starts it."""
    server = _server(run_dir)
    with _exclusively(run_dir):
        server.start()
    return server


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres, run_dir: Path) -> str:
    """The name of a migrated database to clone; nobody may connect to it."""
    finished = run_dir / "template"
    with _exclusively(run_dir):
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
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """Connections to a migrated database without rows."""
    settings = DatabaseSettings(_env_file=None, database_url=database_url)  # type: ignore[call-arg]
    async with await create_pool(settings) as opened:
        yield opened


@pytest.fixture
def inbox(pool: Pool) -> Inbox:
    """Drops Stripe's events into that database."""
    return Inbox(pool)


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres, worker_id: str) -> Iterator[str]:
    """The URL of a database without any schema, for this test alone."""
    name = f"{worker_id}_{next(_numbers)}"
    postgres.create_database(name)
    yield postgres.url(name)
    postgres.drop_database(name)


def _server(run_dir: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(run_dir / "postgres", durable=False)


@contextmanager
def _exclusively(run_dir: Path) -> Iterator[None]:
    with (run_dir / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
