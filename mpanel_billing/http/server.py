"""The life of a web process: listen, tell the process manager, stop without losing a request."""

import asyncio
import gc
import logging
import signal
import socket
from collections.abc import Callable

from aiohttp import hdrs, web

from mpanel_billing.errors import BillingError
from mpanel_billing.telemetry.pm2 import runs_under_pm2, signal_ready

logger = logging.getLogger(__name__)

SHUTDOWN = web.AppKey("shutdown", asyncio.Event)
"""Set once the process is stopping: whoever holds an answer back (`?wait=`) gives it now."""

STOP_SECONDS = 9.5
"""How long stopping may take in all; the process manager kills a little later."""

_DRAIN_SECONDS = 3.0
"""How long clients that keep connections open may take to send one more request over them."""

_HANDLER_SECONDS = 2.0
"""How long requests may then still run before they are cancelled."""

_LOOK_SECONDS = 0.02


class AddressInUseError(BillingError):
    """Something else listens where this process should."""

    code = "address_in_use"


def announce_shutdown(app: web.Application) -> None:
    """Give the application its SHUTDOWN event, and close connections after it is set."""
    event = app[SHUTDOWN] = asyncio.Event()

    async def close_connection(_: web.Request, response: web.StreamResponse) -> None:
        if event.is_set():
            response.headers[hdrs.CONNECTION] = "close"  # tells the client; the next line does it
            response.force_close()

    async def set_event(_: web.Application) -> None:
        event.set()

    app.on_response_prepare.append(close_connection)
    app.on_shutdown.append(set_event)


def serve(app_factory: Callable[[], web.Application], host: str, port: int) -> None:
    """Serve the application until SIGINT or SIGTERM; returns at most STOP_SECONDS after that.

    Under PM2 it tells PM2 when it is ready, and shares the port with the other instances; else
    a port that is taken raises AddressInUseError.
    """
    asyncio.run(_run(app_factory(), host, port))


async def _run(app: web.Application, host: str, port: int) -> None:
    stop = _stop_signal()
    if SHUTDOWN not in app:
        announce_shutdown(app)
    listener = _bind(host, port)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_HANDLER_SECONDS)
    try:
        await runner.setup()
        _spare_the_program()
        await web.SockSite(runner, listener).start()
        logger.info("listening on http://%s:%d", *listener.getsockname()[:2])
        signal_ready()
        await stop.wait()
    except BaseException:
        listener.close()
        await runner.cleanup()
        raise
    await _stop(runner, listener)


def _spare_the_program() -> None:
    """Have the garbage collector look at what requests make, not at the program itself.

    The modules, classes and routes live as long as the process; to go through them took some tens
    of milliseconds every now and then, in the middle of a request.
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


async def _stop(runner: web.AppRunner, listener: socket.socket) -> None:
    """Stop in the order that loses no request.

    A client may be sending a request over an open connection at any moment: so every answer
    first says that the connection ends, and only silent connections are cut at the end.
    """
    logger.info("stopping")
    try:
        async with asyncio.timeout(STOP_SECONDS):
            runner.app[SHUTDOWN].set()
            await _stop_listening(runner, listener)
            await _wait_for_connections(runner)
            await runner.cleanup()
    except TimeoutError:
        logger.error("gave up stopping in good order after %.1f s", STOP_SECONDS)  # noqa: TRY400 - where it hung is no help


async def _stop_listening(runner: web.AppRunner, listener: socket.socket) -> None:
    """Close the listening socket, and serve every connection that the kernel took for it.

    Closing it resets those that still wait in its queue. So the loop lets go of it first, what
    the loop has accepted gets its transport (two rounds of the loop), and the rest of the queue
    is taken in the very moment before it is closed.
    """
    loop = asyncio.get_running_loop()
    loop.remove_reader(listener)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    waiting = _accept_waiting(listener)
    for site in runner.sites:
        await site.stop()
    assert runner.server  # noqa: S101 - it was set up
    for connection in waiting:
        await loop.connect_accepted_socket(runner.server, connection)


def _accept_waiting(listener: socket.socket) -> list[socket.socket]:
    waiting: list[socket.socket] = []
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return waiting
        except ConnectionAbortedError:  # this client did not wait
            continue
        connection.setblocking(False)
        waiting.append(connection)


async def _wait_for_connections(runner: web.AppRunner) -> None:
    """Return when no connection is left, at most _DRAIN_SECONDS later."""
    deadline = asyncio.get_running_loop().time() + _DRAIN_SECONDS
    # aiohttp tells nobody that a connection was closed: so it is looked for.
    while runner.server and runner.server.connections:
        if asyncio.get_running_loop().time() > deadline:
            return
        await asyncio.sleep(_LOOK_SECONDS)
