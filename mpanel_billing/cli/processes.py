"""`mpanel-billing serve` and `mpanel-billing worker`: the two kinds of processes."""

import asyncio
import logging

from mpanel_billing.http.app import create_app
from mpanel_billing.http.server import listening_for_monitoring
from mpanel_billing.http.server import serve as serve_app
from mpanel_billing.provisioning.drivers.registry import check_services
from mpanel_billing.settings import Settings, load_settings
from mpanel_billing.telemetry.logs import configure_logging
from mpanel_billing.telemetry.tracing import tracing
from mpanel_billing.telemetry.watchdog import watching_loop
from mpanel_billing.worker.process import run_worker

logger = logging.getLogger(__name__)


def serve() -> None:
    """Serve the HTTP API on HOST and PORT until SIGINT or SIGTERM."""
    settings = _start()
    with tracing(settings, "web"):
        serve_app(lambda: create_app(settings), settings.host, settings.port)


def worker() -> None:
    """Provision, refetch from Stripe and retry events until SIGINT or SIGTERM."""
    settings = _start()
    with tracing(settings, "worker"):
        asyncio.run(_work(settings))


def _start() -> Settings:
    settings = load_settings()
    check_services(settings)
    configure_logging(settings)
    if ignored := settings.ignored_url_parameters:
        logger.info("ignored what DATABASE_URL tells Prisma: %s", ", ".join(ignored))
    return settings


async def _work(settings: Settings) -> None:
    async with watching_loop(), listening_for_monitoring(settings):
        await run_worker(settings)
