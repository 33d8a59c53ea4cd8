"""Health and metrics of a worker, over HTTP."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from aiohttp import web

from mpanel_billing.http import keys
from mpanel_billing.http.connections import Runner
from mpanel_billing.http.middleware import MIDDLEWARES
from mpanel_billing.http.response_headers import add_headers
from mpanel_billing.http.routes import health
from mpanel_billing.http.server import AddressInUseError
from mpanel_billing.provisioning.drivers.registry import list_unmade
from mpanel_billing.settings import Settings
from mpanel_billing.telemetry.figures import FigureReader
from mpanel_billing.telemetry.pool import open_pool

logger = logging.getLogger(__name__)

_MONITORING_CONNECTIONS = 2
"""Separate from the worker's, so that monitoring works while those are all in use."""


@asynccontextmanager
async def listening_for_monitoring(settings: Settings, port: int) -> AsyncIterator[None]:
    """Serve health and metrics on that port of HOST during the block.

    AddressInUseError if the port is taken.
    """
    runner = Runner(_monitoring_app(settings))
    await runner.setup()
    try:
        await _listen_for_monitoring(runner, settings.host, port)
        yield
    finally:
        await runner.cleanup()


def _monitoring_app(settings: Settings) -> web.Application:
    app = web.Application(middlewares=MIDDLEWARES)
    app[keys.SETTINGS] = settings
    add_headers(app)
    app.add_routes(health.routes)
    app.cleanup_ctx.append(_monitoring_pool)
    return app


async def _monitoring_pool(app: web.Application) -> AsyncIterator[None]:
    few = {"database_pool_min": 0, "database_pool_max": _MONITORING_CONNECTIONS}
    async with await open_pool(app[keys.SETTINGS].model_copy(update=few)) as pool:
        app[keys.POOL] = pool
        app[keys.FIGURES] = FigureReader(pool, partial(list_unmade, app[keys.SETTINGS]))
        yield


async def _listen_for_monitoring(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        message = f"cannot listen on {host}:{port} (WORKER_METRICS_PORT): {error.strerror}"
        raise AddressInUseError(message) from error
    logger.info("monitoring on http://%s:%d", host, port)
