"""Runs a sandbox within a program, or alone until a signal."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from stripe_sandbox.app import WORLD, SandboxConfig, create_sandbox_app
from stripe_sandbox.fixtures import load_file
from stripe_sandbox.outbox import WebhookTarget
from stripe_sandbox.world import World

SHUTDOWN_SECONDS = 1.0


@dataclass(frozen=True)
class Sandbox:
    """A running sandbox; `url` is the base of the API and of the pages."""

    url: str
    port: int
    _app: web.Application

    @property
    def world(self) -> World:
        """What is in it, for a test of a state to which no request leads."""
        return self._app[WORLD]

    def add_webhook(self, url: str, secret: str, *, thin: bool = False) -> None:
        """Send every event from now on to this URL too, signed with the secret.

        With `thin`, every thin event, and no others.
        """
        self._app[WORLD].outbox.add_target(WebhookTarget(url, secret, thin=thin))


@asynccontextmanager
async def running_sandbox(config: SandboxConfig) -> AsyncIterator[Sandbox]:
    """Run a sandbox during the block.

    Raises OSError if the port is taken, StateFileError if the state cannot be read, FixtureError if
    the fixtures cannot be loaded.
    """
    app = create_sandbox_app(config)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, config.host, config.port).start()
        port = int(runner.addresses[0][1])
        host = "127.0.0.1" if config.host == "0.0.0.0" else config.host  # noqa: S104 - any address
        sandbox = Sandbox(f"http://{host}:{port}", port, app)
        if config.fixtures and sandbox.world.store.is_empty():
            await load_file(sandbox.url, config.fixtures)
        yield sandbox
    finally:
        await runner.cleanup()


async def serve_sandbox(config: SandboxConfig) -> None:
    """Run a sandbox until SIGINT or SIGTERM; raises as `running_sandbox` does."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with running_sandbox(config) as sandbox:
        print(f"Stripe sandbox on {sandbox.url}", flush=True)
        await stopped.wait()
