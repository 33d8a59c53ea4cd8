"""`mpanel-billing dev` as a person runs it: a process, its screen, Ctrl-C."""

import asyncio
import os
import re
import signal
import socket
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from mpanel_billing.database.migrations import migrate
from mpanel_billing.dev.data import open_data_folder
from mpanel_billing.dev.last_will import runs
from mpanel_billing.dev.postgres import EmbeddedPostgres
from tests.forked import Forked, start_forked
from tests.ports import unused_port

READY = "Ctrl-C stops everything"
PRODUCTS = "SELECT id, code, stripe_product_id FROM products ORDER BY code"


@dataclass
class Dev:
    """One place to run it in: a data folder and three ports."""

    data_dir: Path
    api: int = field(default_factory=unused_port)
    sandbox: int = field(default_factory=unused_port)
    postgres: int = field(default_factory=unused_port)
    screen: str = ""
    process: Forked | None = None

    @property
    def database_url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.postgres}/mpanel_billing?sslmode=disable"

    async def start(self, *options: str, **environment: str) -> None:
        self.screen = ""
        self.process = await start_forked(
            [
                "dev",
                f"--port={self.api}",
                f"--sandbox-port={self.sandbox}",
                f"--postgres-port={self.postgres}",
                f"--data-dir={self.data_dir}",
                *options,
            ],
            {**os.environ, **environment},
            read_all=True,
        )

    async def read_until(self, text: str) -> None:
        """Read the screen until it shows `text`; at its end, fail with all that it showed."""
        while text not in self.screen:
            line = await self.process.stderr.readline()
            self.screen += line.decode()
            assert line, self.screen

    async def wait(self) -> int:
        rest = await self.process.stderr.read()
        self.screen += rest.decode()
        return await self.process.wait()

    async def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return await self.wait()

    def processes(self) -> dict[int, str]:
        """What it has started: command lines by pid."""
        return {pid: command_of(pid) for pid in children_of(self.process.pid)}


def children_of(parent: int) -> set[int]:
    stats = [text for path in Path("/proc").glob("[0-9]*/stat") if (text := read_if_alive(path))]
    rows = [(int(text.split()[0]), int(text.rpartition(")")[2].split()[1])) for text in stats]
    return {pid for pid, ppid in rows if ppid == parent}


def read_if_alive(path: Path) -> str:
    """What /proc says of a process; nothing if it has ended since it was listed."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_gone(path: Path) -> bool:
    return not path.exists()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()


def environment_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/environ").read_text().split("\0")


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
async def dev(run_dir: Path, worker_id: str, request: pytest.FixtureRequest) -> AsyncIterator[Dev]:
    data_dir = run_dir / f"dev-{worker_id}-{abs(hash(request.node.name)) % 10**6}"
    place = Dev(data_dir)
    yield place
    if place.process and place.process.returncode is None:
        place.process.send_signal(signal.SIGINT)
        await place.process.wait()
    EmbeddedPostgres(data_dir / "postgres").stop()


async def fetch(database_url: str, query: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(database_url)
    try:
        return await connection.fetch(query)
    finally:
        await connection.close()


SITE = "https://shop.example"


@dataclass(frozen=True)
class Day:
    """A first start, ended by Ctrl-C, and a second one, ended by the death of its worker.

    One for all tests: each start creates a database and fills a catalogue at Stripe.
    """

    dev: Dev
    screens: tuple[str, str]
    ready: int
    allowed_origin: str | None
    signed_in: int
    environment: Sequence[str]
    started: Mapping[int, str]
    stopped_with: tuple[int, int]
    products: tuple[Sequence[asyncpg.Record], Sequence[asyncpg.Record]]


@pytest.fixture(scope="module")
def day(run_dir: Path, worker_id: str) -> Iterator[Day]:
    dev = Dev(run_dir / f"dev-{worker_id}-day")
    try:
        yield asyncio.run(_live_a_day(dev))
    finally:
        EmbeddedPostgres(dev.data_dir / "postgres").stop()


async def _live_a_day(dev: Dev) -> Day:
    await dev.start(CORS_ORIGIN=SITE, APP_URL=f"{SITE}/billing")
    await dev.read_until(READY)
    ready, allowed_origin, signed_in = await _responses(dev)
    started = dev.processes()
    first_products = await fetch(dev.database_url, PRODUCTS)
    (api,) = [pid for pid, command in started.items() if command.endswith(" serve")]
    environment = environment_of(api)
    interrupted = await dev.interrupt()
    first_screen = dev.screen

    await dev.start()
    await dev.read_until(READY)
    products = first_products, await fetch(dev.database_url, PRODUCTS)
    (worker,) = [pid for pid, command in dev.processes().items() if command.endswith(" worker")]
    os.kill(worker, signal.SIGKILL)
    stopped_with = interrupted, await dev.wait()
    return Day(
        dev=dev,
        screens=(first_screen, dev.screen),
        ready=ready,
        allowed_origin=allowed_origin,
        signed_in=signed_in,
        environment=environment,
        started=started,
        stopped_with=stopped_with,
        products=products,
    )


async def _responses(dev: Dev) -> tuple[int, str | None, int]:
    """Return the status of the health check, the site that may use the API, and of a sign-in."""
    base = f"http://localhost:{dev.api}/api"
    key = re.search(r"console .*the key (\S+)", dev.screen)
    async with aiohttp.ClientSession() as client:
        form = {"person": "ada", "key": key[1] if key else ""}
        console = f"http://localhost:{dev.api}/console/sign-in"
        signed_in = await client.post(console, data=form, allow_redirects=False)
        ready = await client.get(f"{base}/health/ready")
        plans = await client.get(f"{base}/public/plans", headers={"Origin": SITE})
        allowed = plans.headers.get("Access-Control-Allow-Origin")
        return ready.status, allowed, signed_in.status


def test_everything_responds_once_it_says_so(day):
    assert f"http://localhost:{day.dev.api}/demo" in day.screens[0]
    assert "4242 4242 4242 4242" in day.screens[0]
    assert day.ready == 200
    assert len(day.started) == 4, "api, worker, sandbox, and what stops them if it is killed"


def test_the_key_that_it_prints_opens_the_console(day):
    assert day.signed_in == 303


def test_the_migrations_are_one_line(day):
    assert len(re.findall(r"migrate .*applied", day.screens[0])) == 1
    assert "migrate " not in day.screens[1]


def test_nothing_is_left_after_ctrl_c(day):
    assert day.stopped_with[0] == 0, day.screens[0]
    assert not any(is_alive(pid) for pid in day.started)


def test_the_web_sites_that_the_environment_names_may_use_the_api(day):
    assert day.allowed_origin == SITE
    assert f"APP_URL={SITE}/billing" in day.environment


def test_a_second_start_finds_the_data_of_the_first(day):
    first, second = day.products
    assert first == second
    assert all(row["stripe_product_id"] for row in first)


def test_when_a_part_dies_it_says_which_and_stops_the_rest(day):
    assert day.stopped_with[1] == 1
    assert "worker was ended by SIGKILL" in day.screens[1]
    assert all(is_free(port) for port in (day.dev.api, day.dev.sandbox, day.dev.postgres))


async def test_ephemeral_data_is_gone_afterwards(dev):
    await dev.start("--ephemeral")
    await dev.read_until(READY)
    assert "removed at the end" in dev.screen
    (row,) = await fetch(dev.database_url, "SELECT current_setting('data_directory') AS folder")
    assert await dev.interrupt() == 0, dev.screen
    assert is_gone(Path(row["folder"]))
    assert is_gone(dev.data_dir)
    assert all(is_free(port) for port in (dev.api, dev.sandbox, dev.postgres))


@pytest.mark.parametrize("options", [["--ephemeral"], []])
async def test_killed_it_leaves_no_process_and_no_server_behind(dev, options):
    await dev.start(*options)
    await dev.read_until(READY if options else "api ")  # ready, or half-way
    started = dev.processes()
    (row,) = await fetch(dev.database_url, "SELECT current_setting('data_directory') AS folder")
    server = int((Path(row["folder"]) / "postmaster.pid").read_text().split()[0])
    dev.process.kill()
    assert await dev.wait() == -signal.SIGKILL  # the screen is closed once nothing holds it
    assert len(started) >= 3
    async with asyncio.timeout(30):  # the last of them has yet to be seen as ended
        while left := [pid for pid in (*started, server) if runs(pid)]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert left == []
    assert all(is_free(port) for port in (dev.api, dev.sandbox, dev.postgres))
    assert is_gone(Path(row["folder"])) == bool(options)


@pytest.mark.parametrize("option", ["--port", "--sandbox-port", "--postgres-port"])
async def test_a_taken_port_is_named_before_anything_is_started(dev, option):
    with socket.create_server(("127.0.0.1", 0)) as occupant:
        port = occupant.getsockname()[1]
        await dev.start(f"{option}={port}")
        assert await dev.wait() == 1
    assert f"port {port} cannot be used" in dev.screen
    assert option in dev.screen
    assert not (dev.data_dir / "postgres").exists()


async def test_data_that_another_process_holds_is_refused(dev):
    with open_data_folder(dev.data_dir):
        await dev.start()
        assert await dev.wait() == 1
    assert f"is in use by process {os.getpid()}" in dev.screen


async def test_data_of_a_version_that_no_migration_starts_from_is_to_be_removed(dev):
    with EmbeddedPostgres(dev.data_dir / "postgres", port=dev.postgres) as server:
        server.create_database("mpanel_billing")
        connection = await asyncpg.connect(dev.database_url)
        await connection.execute("CREATE TABLE billing_schema_migrations (version varchar(128))")
        await connection.execute("INSERT INTO billing_schema_migrations VALUES ('20261122000100')")
        await connection.close()
    await dev.start()
    assert await dev.wait() == 1
    assert f"cannot be kept: remove {dev.data_dir}" in dev.screen


async def test_data_of_before_migrations_were_edited_is_to_be_removed(dev):
    """First what nobody has written down, as it shows in a view; then what is written down."""
    with EmbeddedPostgres(dev.data_dir / "postgres", port=dev.postgres) as server:
        server.create_database("mpanel_billing")
        await migrate(dev.database_url)
        connection = await asyncpg.connect(dev.database_url)
        await connection.execute("ALTER TABLE invoices DROP COLUMN amount_disputed CASCADE")
        await connection.close()
    await dev.start()
    assert await dev.wait() == 1
    assert f"older version, and cannot be kept: remove {dev.data_dir}" in dev.screen
    assert "amount_disputed" in dev.screen
    (dev.data_dir / "migrations.json").write_text('{"20261126000600_invoices.sql": "another"}')
    await dev.start()
    assert await dev.wait() == 1
    assert f"older version, and cannot be kept: remove {dev.data_dir}" in dev.screen
    assert "20261126000600_invoices.sql is no longer what it was" in dev.screen
