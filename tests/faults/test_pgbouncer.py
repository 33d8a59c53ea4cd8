"""Debian's PgBouncer in transaction mode stands before the database."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from aiohttp.test_utils import unused_port

from mpanel_billing.dev.postgres import EmbeddedPostgres
from tests.faults.commands import operate
from tests.faults.convergence import check_converged
from tests.faults.ledger import Ledger
from tests.faults.load import under_load
from tests.faults.town import Town, open_town
from tests.processes import running

pytestmark = [
    pytest.mark.equipment,
    pytest.mark.skipif(not shutil.which("pgbouncer"), reason="needs Debian's pgbouncer"),
]

SERVER_CONNECTIONS = 2
"""Fewer than those of web and worker: transactions of one client go to several server processes."""

INI = """
[databases]
{name} = host={host} port={port} user=postgres connect_query='SET lock_timeout = 5000'

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {connections}
max_client_conn = 200
"""
"""As docs/deployment.md has it, but without passwords."""


@asynccontextmanager
async def pgbouncer(folder: Path, postgres: EmbeddedPostgres, name: str) -> AsyncIterator[str]:
    """Run PgBouncer before a database, and give the URL that leads through it."""
    port = unused_port()
    ini = folder / f"pgbouncer-{port}.ini"
    ini.write_text(
        INI.format(
            name=name,
            host=postgres.endpoint.host,
            port=postgres.endpoint.port,
            listen_port=port,
            connections=SERVER_CONNECTIONS,
        )
    )
    account = ["--user=nobody"] if os.geteuid() == 0 else []
    async with running(["pgbouncer", *account, str(ini)], "process up", {}):
        yield f"postgresql://postgres@127.0.0.1:{port}/{name}?sslmode=disable"


@pytest.fixture
async def town(postgres: EmbeddedPostgres, database_url: str, run_dir: Path) -> AsyncIterator[Town]:
    name = urlsplit(database_url).path.removeprefix("/")
    async with (
        pgbouncer(run_dir, postgres, name) as url,
        open_town(url, DATABASE_DIRECT_URL=database_url) as opened,
    ):
        yield opened


async def test_the_service_runs_behind_pgbouncer(town: Town, ledger: Ledger) -> None:
    await town.start_web()
    worker = await town.start_worker()
    async with under_load(town, buyers=3, senders=6) as load:
        await load.reach(5)
        sessions = await town.pool.fetch(
            "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
        )
    names = [row["application_name"] for row in sessions]
    assert {"mpanel-billing-queue", "mpanel-billing listener"} <= set(names)
    assert names.count("mpanel-billing") <= SERVER_CONNECTIONS + town.pool.get_size()
    await check_converged(town, load)
    assert "0 pending" in await operate(town, "migrate", "status")
    assert "0 created" in await operate(town, "catalog", "push")
    assert town.journal.statuses() == {200}
    assert not any('"level": "error"' in line for line in worker.lines)
    ledger.enter(
        f"PgBouncer in transaction mode, with {SERVER_CONNECTIONS} server connections shared by "
        "web and worker",
        town.journal,
        recovered="not needed: LISTEN, the queue, migrations and `catalog push` use "
        "DATABASE_DIRECT_URL",
    )
