"""Run everything on this machine: PostgreSQL, schema, catalogue, sandbox, API and worker."""

import asyncio
import signal
import socket
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from pydantic_settings import BaseSettings, SettingsConfigDict

from mpanel_billing.database.migrations import MigrationError, digest_migrations, migrate
from mpanel_billing.dev.banner import describe_service
from mpanel_billing.dev.children import Children, show
from mpanel_billing.dev.data import (
    DataFolder,
    open_data_folder,
    throw_away_data_folder,
)
from mpanel_billing.dev.last_will import LastWill
from mpanel_billing.dev.postgres import EmbeddedPostgres, Endpoint
from mpanel_billing.errors import BillingError
from mpanel_billing.mirror.types import EVENT_TYPES

DATABASE = "mpanel_billing"
_READY_SECONDS = 30.0
_LOOK_SECONDS = 0.05


class NotReadyError(BillingError):
    """A process runs but does not respond."""

    code = "not_ready"


class PortTakenError(BillingError):
    """A port is in use, or meant for two things; the message names port and option."""

    code = "port_taken"


@dataclass(frozen=True, slots=True)
class DevOptions:
    """Options of the command line. `ephemeral`: the data is removed at the end."""

    port: int
    sandbox_port: int
    postgres_port: int
    data_dir: Path
    ephemeral: bool

    @property
    def api_url(self) -> str:
        """Where the API listens; browsers treat localhost as a secure origin."""
        return f"http://localhost:{self.port}"

    @property
    def sandbox_url(self) -> str:
        """Where the sandbox listens."""
        return f"http://127.0.0.1:{self.sandbox_port}"

    def open_data_folder(self) -> AbstractContextManager[DataFolder]:
        """Open the folder of the data for this run."""
        return throw_away_data_folder() if self.ephemeral else open_data_folder(self.data_dir)


async def run_service(options: DevOptions) -> None:
    """Start everything, show where it is, and stop it all on SIGINT, SIGTERM or SIGHUP.

    Raises BillingError if something cannot start or ends unasked; everything else is stopped by
    then.
    """
    stop = asyncio.Event()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(signum, stop.set)
    with options.open_data_folder() as folder:
        service = _Service(options, folder)
        service.require_ports()
        try:
            await _first_of(_run(service), stop.wait())
        finally:
            show("dev", "stopping")
            await service.stop()


async def _run(service: "_Service") -> None:
    await _first_of(service.start(), service.children.failure())
    show("dev", service.describe())
    await service.children.failure()


class _Sites(BaseSettings):
    """Where the web sites are that use the API: yours, if the environment or `.env` names them."""

    model_config = SettingsConfigDict(env_file=".env", env_ignore_empty=True, extra="ignore")

    app_url: str | None = None
    cors_origin: str = "http://localhost:3000"


class _Service:
    """The parts of one run."""

    def __init__(self, options: DevOptions, folder: DataFolder) -> None:
        self.options = options
        self._folder = folder
        self._postgres = EmbeddedPostgres(
            folder.postgres, port=options.postgres_port, durable=not options.ephemeral
        )
        self._database_url = Endpoint("127.0.0.1", options.postgres_port).url(DATABASE)
        environment = self._environment()
        self._settings = folder.write_settings(environment)
        self.children = Children(environment)
        self._last_will: LastWill | None = None
        self._postgres_start: asyncio.Task[None] | None = None
        self._is_new = False

    def require_ports(self) -> None:
        """Raise PortTakenError if a port is not free for us."""
        options = self.options
        ports = {"--port": options.port, "--sandbox-port": options.sandbox_port}
        running = self._postgres.running_endpoint()
        if running is None or running.port != options.postgres_port:
            ports["--postgres-port"] = options.postgres_port
        require_free_ports(ports)

    async def start(self) -> None:
        """Start all parts, in parallel where possible, and return when they are ready."""
        thrown_away = self._folder.path if self.options.ephemeral else None
        self._last_will = LastWill(self._postgres.data_dir, thrown_away=thrown_away)
        self.children.on_start = self._last_will.add
        await self._start_sandbox()
        await self._start_database()
        await _all_of(
            self._start_api(),
            self.children.start("worker", "worker"),
            self._load_catalogue(),
        )

    async def stop(self) -> None:
        """Stop what runs, users before the parts they use."""
        await self.children.stop("api", "worker")
        await self.children.stop("sandbox")
        if self._postgres_start:
            await asyncio.wait([self._postgres_start])
        await asyncio.to_thread(self._postgres.stop)
        if self._last_will:
            await asyncio.to_thread(self._last_will.revoke)

    def describe(self) -> str:
        """Return the text to show once everything runs."""
        options = self.options
        return describe_service(
            api_url=options.api_url,
            operators_key=self._folder.operators_key(),
            sandbox_url=options.sandbox_url,
            database_url=self._database_url,
            psql=self._postgres.bin_dir / "psql",
            settings=self._settings,
            kept_in=None if options.ephemeral else options.data_dir,
        )

    def _environment(self) -> dict[str, str]:
        secrets, sites = self._folder.stripe_secrets(), _Sites()
        key = self._folder.operators_key()
        return {
            "DATABASE_URL": self._database_url,
            "STRIPE_SECRET_KEY": secrets.secret_key,
            "STRIPE_WEBHOOK_SECRET": secrets.webhook_secret,
            "STRIPE_API_BASE": self.options.sandbox_url,
            "APP_URL": sites.app_url or self.options.api_url,
            "CORS_ORIGIN": sites.cors_origin,
            "HOST": "127.0.0.1",
            "PORT": str(self.options.port),
            "LOG_FORMAT": "text",
            "ADMIN_API_KEYS": key,
            "BILLING_API_KEYS": key,
            "CONSOLE": "on",
            "MPANEL_BILLING_DEMO": "1",
            "PYTHONUNBUFFERED": "1",
        }

    async def _start_database(self) -> None:
        # A thread cannot be cancelled: stop() waits for it.
        self._postgres_start = asyncio.create_task(asyncio.to_thread(self._prepare_postgres))
        await asyncio.shield(self._postgres_start)
        files = await self._migrate()
        if files:
            show("migrate", f"applied {len(files)} files, up to {files[-1]}")

    async def _migrate(self) -> list[str]:
        """Migrate the data, unless it has migrations that have been edited since."""
        digests = digest_migrations()
        self._folder.require_same_migrations(digests)
        try:
            files = await migrate(self._database_url)
        except MigrationError as error:
            # of data that a run before this one has left, and of which nothing is on record
            if self._is_new or self._folder.knows_migrations:
                raise
            raise self._folder.obsolete(error.message) from error
        self._folder.keep_migrations(digests)
        return files

    def _prepare_postgres(self) -> None:
        self._postgres.start()
        self._is_new = not self._postgres.has_database(DATABASE)
        if self._is_new:
            self._postgres.create_database(DATABASE)

    async def _start_sandbox(self) -> None:
        await self.children.start(
            "sandbox",
            "sandbox",
            f"--port={self.options.sandbox_port}",
            f"--webhook-url=http://127.0.0.1:{self.options.port}/api/webhooks/stripe",
            f"--webhook-secret={self._folder.stripe_secrets().webhook_secret}",
            *(f"--webhook-event={event_type}" for event_type in sorted(EVENT_TYPES)),
            f"--state={self._folder.sandbox_state}",
        )

    async def _load_catalogue(self) -> None:
        await self.children.run("catalog", "catalog", "apply", "--yes")
        await _wait_for_answer("sandbox", f"{self.options.sandbox_url}/")
        await self.children.run("catalog", "catalog", "push")

    async def _start_api(self) -> None:
        await self.children.start("api", "serve")
        ready = f"http://127.0.0.1:{self.options.port}/api/health/ready"
        await _wait_for_answer("api", ready, status=200)


async def _first_of(*parts: Coroutine[Any, Any, object]) -> None:
    """Wait until one part is done and cancel the others; raises what that one raised."""
    await _await_parts(parts, asyncio.FIRST_COMPLETED)


async def _all_of(*parts: Coroutine[Any, Any, object]) -> None:
    """Wait until all parts are done; when one raises, cancel the others and raise that."""
    await _await_parts(parts, asyncio.FIRST_EXCEPTION)


async def _await_parts(parts: Iterable[Coroutine[Any, Any, object]], until: str) -> None:
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=until)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


async def _wait_for_answer(name: str, url: str, status: int | None = None) -> None:
    """Return once the address responds (with that status); NotReadyError after a while."""
    try:
        async with asyncio.timeout(_READY_SECONDS), aiohttp.ClientSession() as client:
            while True:  # nothing signals that another process has begun to listen
                if await _answers(client, url, status):
                    return
                await asyncio.sleep(_LOOK_SECONDS)
    except TimeoutError:
        message = f"{name} is not ready after {_READY_SECONDS:.0f} s ({url}); its log is above"
        raise NotReadyError(message) from None


async def _answers(client: aiohttp.ClientSession, url: str, status: int | None) -> bool:
    try:
        async with client.get(url) as response:
            return status is None or response.status == status
    except aiohttp.ClientError:
        return False


def require_free_ports(ports: Mapping[str, int]) -> None:
    """Check ports on 127.0.0.1, given by the option that chooses each."""
    seen: dict[int, str] = {}
    for option, port in ports.items():
        if port in seen:
            message = f"port {port} is chosen twice, by {seen[port]} and {option}"
            raise PortTakenError(message)
        seen[port] = option
        _require_free(option, port)


def _require_free(option: str, port: int) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            message = f"port {port} cannot be used ({error.strerror}); choose one with {option}"
            raise PortTakenError(message) from error
