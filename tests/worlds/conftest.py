"""A database whose time can be moved forward, and the stage on which stories are played."""

from pathlib import Path

import pytest

from mpanel_billing.dev.data import exclusively
from mpanel_billing.dev.postgres import EmbeddedPostgres
from tests.postgres import Databases, Stocked
from tests.worlds.clock import move_clock_into
from tests.worlds.stage import Stage

_CLOCKED = "billing_clocked"


@pytest.fixture(scope="session")
def clocked(
    postgres: EmbeddedPostgres, databases: Databases, stocked: Stocked, run_dir: Path
) -> Stocked:
    """The default catalogue on sale, in a database with the movable clock."""
    with exclusively(run_dir / "lock"):
        if not (run_dir / "clocked").exists():
            databases.execute(f"CREATE DATABASE {_CLOCKED} TEMPLATE {stocked.template}")
            move_clock_into(postgres.url(_CLOCKED))
            (run_dir / "clocked").touch()
    return Stocked(_CLOCKED, stocked.sandbox_state)


@pytest.fixture
def stage(databases: Databases, clocked: Stocked, tmp_path: Path) -> Stage:
    return Stage(databases, clocked, tmp_path)
