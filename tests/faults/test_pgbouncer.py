"""Debian's PgBouncer in transaction mode, between the service and the database."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from mpanel_billing.dev.postgres import EmbeddedPostgres
from tests.faults.convergence import check_converged
from tests.faults.deployment import Deployment, open_deployment
from tests.faults.load import under_load
from tests.faults.reliability_document import ReliabilityDocument
from tests.ports import unused_port
from tests.processes import running

pytestmark = [
    pytest.mark.equipment,
    pytest.mark.skipif(not shutil.which("pgbouncer"), reason="needs Debian's pgbouncer"),
]

SERVER_CONNECTIONS = 2
"""Fewer than web and worker use: transactions of one client go to several server processes."""

INI = """
[databases]
{name} = host={host} port={port} user=postgres connect_query='SET lock_timeout = 5000; SET jit = off'

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
idle_transaction_timeout = 10
default_pool_size = {connections}
max_client_conn = 200
"""  # noqa: E501 - a line of an INI file
"""The configuration of docs/deployment.md, without passwords."""


@asynccontextmanager
async def pgbouncer(folder: Path, postgres: EmbeddedPostgres, name: str) -> AsyncIterator[str]:
    """Run PgBouncer in front of a database, and yield its URL through PgBouncer."""
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
async def deployment(
    postgres: EmbeddedPostgres, database_url: str, run_dir: Path
) -> AsyncIterator[Deployment]:
    name = urlsplit(database_url).path.removeprefix("/")
    async with (
        pgbouncer(run_dir, postgres, name) as url,
        open_deployment(url, DATABASE_DIRECT_URL=database_url) as opened,
    ):
        yield opened


async def test_the_service_runs_behind_pgbouncer(
    deployment: Deployment, document: ReliabilityDocument
) -> None:
    await deployment.start_web()
    worker = await deployment.start_worker()
    async with under_load(deployment, buyers=3, senders=6) as load:
        await load.wait_for_purchases(5)
        sessions = await deployment.pool.fetch(
            "SELECT application_name FROM pg_stat_activity WHERE datname = current_database()"
        )
    names = [row["application_name"] for row in sessions]
    assert {"mpanel-billing-queue", "mpanel-billing listener"} <= set(names)
    assert names.count("mpanel-billing") <= SERVER_CONNECTIONS + deployment.pool.get_size()
    await check_converged(deployment, load)
    assert "0 pending" in await deployment.run_command("migrate", "status")
    assert "0 created" in await deployment.run_command("catalog", "push")
    assert deployment.responses.statuses() == {200}
    assert not any('"level": "error"' in line for line in worker.lines)
    document.record(
        f"PgBouncer in transaction mode, with {SERVER_CONNECTIONS} server connections shared by "
        "web and worker",
        deployment.responses,
        recovered="not needed: LISTEN, the queue, migrations and `catalog push` use "
        "DATABASE_DIRECT_URL",
    )
