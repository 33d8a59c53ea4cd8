"""Serves HTTP as the web process, which stops without losing requests."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable

from aiohttp import hdrs, web

from mpanel_billing.errors import BillingError
from mpanel_billing.http.connections import Runner
from mpanel_billing.telemetry.process_manager import runs_under_pm2, signal_ready, stopping_with_pm2
from mpanel_billing.telemetry.systemd import take_sockets
from mpanel_billing.telemetry.watchdog import watching_loop

logger = logging.getLogger(__name__)

SHUTDOWN = web.AppKey("shutdown", asyncio.Event)
"""Set once the process is stopping: waiting requests (`?wait=`) return at once."""

STOP_SECONDS = 9.5
"""How long stopping takes at most; the process manager kills the process a little later."""

_DRAIN_SECONDS = 3.0
"""How long clients may send requests over connections that they keep open."""

_HANDLER_SECONDS = 2.0
"""How long requests may run after that before they are cancelled."""

_POLL_SECONDS = 0.02

_BACKLOG = 4096
"""Connections that the kernel keeps until they are accepted: those of a restart under systemd."""


class AddressInUseError(BillingError):
    """The port is taken."""

    code = "address_in_use"


def announce_shutdown(app: web.Application) -> None:
    """Give the application its SHUTDOWN event; once it is set, responses close their connection."""
    event = app[SHUTDOWN] = asyncio.Event()

    async def close_connection(_: web.Request, response: web.StreamResponse) -> None:
        if event.is_set():
            response.headers[hdrs.CONNECTION] = "close"  # tells the client; the next line closes it
            response.force_close()

    async def set_event(_: web.Application) -> None:
        event.set()

    app.on_response_prepare.append(close_connection)
    app.on_shutdown.append(set_event)


def serve(app_factory: Callable[[], web.Application], host: str, port: int) -> None:
    """Serve the application until SIGINT or SIGTERM; returns at most STOP_SECONDS after that.

    It reports to PM2 or systemd when it is ready. If systemd passes it listening sockets, it serves
    those instead of host and port. Under PM2 it shares the port with the other instances; otherwise
    AddressInUseError if the port is taken.
    """
    asyncio.run(_serve(app_factory, host, port))


async def _serve(app_factory: Callable[[], web.Application], host: str, port: int) -> None:
    async with watching_loop():
        await _run(app_factory(), host, port)


async def _run(app: web.Application, host: str, port: int) -> None:
    stop = _stop_signal()
    if SHUTDOWN not in app:
        announce_shutdown(app)
    listeners = take_sockets() or [_bind(host, port)]
    runner = Runner(app, shutdown_timeout=_HANDLER_SECONDS)
    try:
        await runner.setup()
        _freeze_program()
        for listener in listeners:
            await web.SockSite(runner, listener, backlog=_BACKLOG).start()
            logger.info("listening on http://%s:%d", *listener.getsockname()[:2])
        signal_ready()
        with stopping_with_pm2(stop):
            await stop.wait()
    except BaseException:
        for listener in listeners:
            listener.close()
        await runner.cleanup()
        raise
    await _stop(runner, listeners)


def _freeze_program() -> None:
    """Exclude modules, classes and routes from garbage collection.

    They live as long as the process, and traversing them would now and then delay a request by tens
    of milliseconds.
    """
    gc.collect()
    gc.freeze()


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signum, stop.set)
    return stop


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, reuse_port=runs_under_pm2())
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]
        message = f"cannot listen on {host}:{port} (PORT): {reason}"
        raise AddressInUseError(message) from error


async def _stop(runner: web.AppRunner, listeners: list[socket.socket]) -> None:
    """Stop in an order that loses no request.

    A client may send a request over an open connection at any moment. So every response first
    announces that its connection closes, and only silent connections are cut at the end.
    """
    logger.info("stopping")
    try:
        async with asyncio.timeout(STOP_SECONDS):
            runner.app[SHUTDOWN].set()
            await _stop_listening(runner, listeners)
            await _wait_for_connections(runner)
            await runner.cleanup()
    except TimeoutError:
        logger.error("graceful stop timed out after %.1f s", STOP_SECONDS)  # noqa: TRY400 - the traceback is of the timeout


async def _stop_listening(runner: web.AppRunner, listeners: list[socket.socket]) -> None:
    """Close the listening sockets, and serve every connection that the kernel accepted for them.

    Closing one resets connections that are still in its queue. So the loop stops watching it, what
    the loop has accepted gets its transport (two rounds of the loop), and the rest of the queue is
    accepted right before it is closed.
    """
    loop = asyncio.get_running_loop()
    for listener in listeners:
        loop.remove_reader(listener)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting = [taken for listener in listeners for taken in _accept_waiting(listener)]
    for site in runner.sites:
        await site.stop()
    assert runner.server  # noqa: S101 - set up before
    for connection in waiting:
        await loop.connect_accepted_socket(runner.server, connection)


def _accept_waiting(listener: socket.socket) -> list[socket.socket]:
    waiting: list[socket.socket] = []
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return waiting
        except ConnectionAbortedError:  # the client gave up
            continue
        connection.setblocking(False)
        waiting.append(connection)


async def _wait_for_connections(runner: web.AppRunner) -> None:
    """Return when no connection is open, after _DRAIN_SECONDS at most."""
    deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
    # aiohttp does not announce that a connection was closed, so poll
    while runner.server and runner.server.connections:
        if asyncio.get_running_loop().time() > deadline:
            return
        await asyncio.sleep(_POLL_SECONDS)
