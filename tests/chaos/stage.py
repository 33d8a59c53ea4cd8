"""All parts of the service and what it talks to, as processes, in one folder."""

import asyncio
import json
import os
import random
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg

from mpanel_billing.database.migrations import migrate
from stripe_sandbox.client import SandboxClient
from tests.chaos.clock import Clock
from tests.chaos.customers import KEY, PATIENCE, Customers
from tests.chaos.database import Database
from tests.chaos.program import Program
from tests.chaos.road import Road
from tests.faults.response_log import ResponseLog
from tests.ports import unused_port
from tests.processes import SERVICE, service_environment
from tests.provisioning.reference_server import SECRET, TOKEN

PRODUCT_TYPES = ("hosting", "email", "storage", "backup", "ssl", "support", "cdn", "monitoring")
WEBS, WORKERS = 2, 2
READY_SECONDS = 60

_PGBOUNCER = """
[databases]
billing = host=127.0.0.1 port={postgres} user=postgres connect_query='SET lock_timeout = 5000; SET jit = off'

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
idle_transaction_timeout = 10
default_pool_size = 12
max_client_conn = 200
server_login_retry = 1
"""  # noqa: E501 - a line of an INI file


@dataclass
class Ports:
    """Where each part listens."""

    web: int = field(default_factory=unused_port)
    road: int = field(default_factory=unused_port)
    stripe: int = field(default_factory=unused_port)
    services: int = field(default_factory=unused_port)
    postgres: int = field(default_factory=unused_port)
    pgbouncer: int = field(default_factory=unused_port)


@dataclass
class Stage:
    """The parts."""

    folder: Path
    chance: random.Random
    ports: Ports
    database: Database
    road: Road
    responses: ResponseLog
    customers: Customers
    stripe: SandboxClient
    environment: dict[str, str]
    programs: dict[str, Program] = field(default_factory=dict)
    opened_at: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Return how long it has been running."""
        return time.monotonic() - self.opened_at

    @property
    def clock(self) -> Clock:
        """The clock of web and worker."""
        return Clock(self.folder / "clock")

    @property
    def journal(self) -> Path:
        """What the provisioning service was asked to do."""
        return self.folder / "orders.jsonl"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def has_pgbouncer(self) -> bool:
        return "pgbouncer" in self.programs

    def named(self, kind: str) -> list[Program]:
        """Return the programs of a kind: web, worker, ..."""
        return [one for name, one in self.programs.items() if name.rstrip("0123456789") == kind]

    def add(self, name: str, *command: str, **environment: str) -> Program:
        """Start a program, and keep it running."""
        program = Program(name, command, environment, self.logs / f"{name}.log")
        self.programs[name] = program
        program.watch()
        return program

    async def run_command(self, *arguments: str) -> tuple[int, str]:
        """Run a command of the service; return its exit status and what it printed."""
        process = await asyncio.create_subprocess_exec(
            *SERVICE,
            *arguments,
            env={"PATH": os.environ["PATH"], **self.environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, output.decode()

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Read from the database, without PgBouncer."""
        connection = await asyncpg.connect(self.database.address.url("billing"), timeout=10)
        try:
            return list(await connection.fetch(query, *arguments, timeout=60))
        finally:
            await connection.close()


@asynccontextmanager
async def open_stage(folder: Path, seed: int) -> AsyncIterator[Stage]:
    """Start everything; end it afterwards."""
    chance, ports = random.Random(seed), Ports()
    (folder / "logs").mkdir()
    Clock(folder / "clock").set_wrong(0)
    database = Database(folder, ports.postgres, folder / "logs")
    await asyncio.to_thread(database.create)
    await migrate(database.url)
    responses = ResponseLog()
    url, stripe_url = f"http://127.0.0.1:{ports.web}", f"http://127.0.0.1:{ports.stripe}"
    road = Road(ports.road, f"{url}/api/webhooks/stripe", responses, random.Random(chance.random()))
    async with (
        road.opened(),
        SandboxClient(stripe_url) as stripe,
        aiohttp.ClientSession(timeout=PATIENCE) as session,
    ):
        customers = Customers(
            url, stripe_url, stripe, random.Random(chance.random()), responses, session
        )
        environment = _environment(ports, database)
        stage = Stage(
            folder, chance, ports, database, road, responses, customers, stripe, environment
        )
        try:
            await _start(stage, session)
            yield stage
        finally:
            await asyncio.gather(*(one.end() for one in stage.programs.values()))
            await database.end()


async def _start(stage: Stage, session: aiohttp.ClientSession) -> None:
    stage.database.watch()
    _start_others(stage)
    await until_answers(session, f"http://127.0.0.1:{stage.ports.stripe}/_sandbox/clock")
    for command in (("catalog", "apply"), ("catalog", "push")):
        status, output = await stage.run_command(*command)
        assert status == 0, output
    _start_service(stage)
    await until_answers(session, f"http://127.0.0.1:{stage.ports.web}/api/health/ready")


def _start_others(stage: Stage) -> None:
    ports, python = stage.ports, sys.executable
    stage.add(
        "sandbox",
        *(python, "-m", "tests.chaos.sandbox_process", str(ports.stripe)),
        *(str(stage.folder / "stripe.sqlite"), stage.road.base),
    )
    stage.add(
        "services",
        *(python, "-m", "tests.chaos.provisioning_process", str(ports.services)),
        *(str(stage.journal), str(stage.chance.randrange(1000))),
    )
    if shutil.which("pgbouncer"):
        ini = stage.folder / "pgbouncer.ini"
        ini.write_text(_PGBOUNCER.format(postgres=ports.postgres, port=ports.pgbouncer))
        stage.add("pgbouncer", "pgbouncer", "--user=nobody", str(ini))


def _start_service(stage: Stage) -> None:
    """Start web and worker with a clock that can be put wrong while they run."""
    environment = {**stage.environment, **stage.clock.environment}
    for number in range(WEBS):
        web = {**environment, "PORT": str(stage.ports.web)}
        stage.add(f"web{number}", *SERVICE, "serve", **web)
    for number in range(WORKERS):
        stage.add(f"worker{number}", *SERVICE, "worker", **environment)


def _environment(ports: Ports, database: Database) -> dict[str, str]:
    through = f"postgresql://postgres@127.0.0.1:{ports.pgbouncer}/billing?sslmode=disable"
    by_pgbouncer = shutil.which("pgbouncer") is not None
    service = {
        "url": f"http://127.0.0.1:{ports.services}/v1",
        "token": TOKEN,
        "secret": SECRET,
        "timeout_seconds": 5,
    }
    return {
        **service_environment(
            through if by_pgbouncer else database.url, f"http://127.0.0.1:{ports.stripe}"
        ),
        **({"DATABASE_DIRECT_URL": database.url} if by_pgbouncer else {}),
        "STRIPE_TIMEOUT_SECONDS": "5",
        "RATE_LIMIT_ORDERS": "off",
        "RATE_LIMIT_LOOKUPS": "off",
        "RECONCILE_HOUR": "off",
        "BILLING_API_KEYS": KEY,
        "PROVISIONING_SERVICES": json.dumps(dict.fromkeys(PRODUCT_TYPES, service)),
    }


async def until_answers(session: aiohttp.ClientSession, url: str) -> None:
    """Return once an address answers with 200."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        try:
            async with session.get(url) as response:
                if response.status == 200:
                    return
        except (aiohttp.ClientError, TimeoutError, OSError):
            pass
        await asyncio.sleep(0.2)
    raise AssertionError(f"{url} does not answer within {READY_SECONDS} s")
