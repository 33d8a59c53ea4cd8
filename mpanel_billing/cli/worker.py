"""`mpanel-billing worker`: a worker."""

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext

from mpanel_billing.cli.starting import start
from mpanel_billing.settings import Settings
from mpanel_billing.telemetry.tracing import tracing
from mpanel_billing.telemetry.watchdog import watching_loop
from mpanel_billing.worker.process import run_worker


def worker() -> None:
    """Provision, refetch from Stripe and retry events until SIGINT or SIGTERM."""
    settings = start()
    with tracing(settings, "worker"):
        asyncio.run(_work(settings))


async def _work(settings: Settings) -> None:
    async with watching_loop(), _monitoring(settings):
        await run_worker(settings)


def _monitoring(settings: Settings) -> AbstractAsyncContextManager[None]:
    """Serve health and metrics, if WORKER_METRICS_PORT is set."""
    if not settings.worker_metrics_port:
        return nullcontext()
    from mpanel_billing.http.monitoring import listening_for_monitoring  # noqa: PLC0415 - 5 MB

    return listening_for_monitoring(settings, settings.worker_metrics_port)
