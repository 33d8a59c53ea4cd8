"""A small listener of its own for the worker: its meters and its health, on WORKER_METRICS_PORT."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from mpanel_billing.http import keys
from mpanel_billing.http.middleware import MIDDLEWARES
from mpanel_billing.http.routes import health
from mpanel_billing.http.server import AddressInUseError
from mpanel_billing.settings import Settings
from mpanel_billing.telemetry.figures import FigureReader
from mpanel_billing.telemetry.pool import open_pool

logger = logging.getLogger(__name__)

_CONNECTIONS = 2
"""Its own, so that it answers while the worker's are all in use."""


@asynccontextmanager
async def listening_for_monitoring(settings: Settings) -> AsyncIterator[None]:
    """Answer monitoring for as long as the block runs, where a port is set.

    AddressInUseError where something else listens there.
    """
    if not settings.worker_metrics_port:
        yield
        return
    runner = web.AppRunner(_create_app(settings), access_log=None)
    await runner.setup()
    try:
        await _listen(runner, settings.host, settings.worker_metrics_port)
        yield
    finally:
        await runner.cleanup()


def _create_app(settings: Settings) -> web.Application:
    app = web.Application(middlewares=MIDDLEWARES)
    app[keys.SETTINGS] = settings
    app.add_routes(health.routes)
    app.cleanup_ctx.append(_connections)
    return app


async def _connections(app: web.Application) -> AsyncIterator[None]:
    few = {"database_pool_min": 0, "database_pool_max": _CONNECTIONS}
    async with await open_pool(app[keys.SETTINGS].model_copy(update=few)) as pool:
        app[keys.POOL] = pool
        app[keys.FIGURES] = FigureReader(pool)
        yield


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        message = f"cannot listen on {host}:{port} (WORKER_METRICS_PORT): {error.strerror}"
        raise AddressInUseError(message) from error
    logger.info("monitoring on http://%s:%d", host, port)
