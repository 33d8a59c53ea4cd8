"""`mpanel-billing worker`: the process that does the jobs."""

import asyncio

from mpanel_billing.http.server import listening_for_monitoring
from mpanel_billing.provisioning.drivers.registry import check_services
from mpanel_billing.settings import Settings, load_settings
from mpanel_billing.telemetry.logs import configure_logging
from mpanel_billing.telemetry.tracing import tracing
from mpanel_billing.worker.process import run_worker


def worker() -> None:
    """Provision, ask Stripe and retry events until SIGINT or SIGTERM."""
    settings = load_settings()
    check_services(settings)
    configure_logging(settings)
    with tracing(settings, "worker"):
        asyncio.run(_run(settings))


async def _run(settings: Settings) -> None:
    async with listening_for_monitoring(settings):
        await run_worker(settings)
