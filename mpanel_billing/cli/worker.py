"""`mpanel-billing worker`: the process that does the jobs."""

import asyncio

from mpanel_billing.jobs.worker import run_worker
from mpanel_billing.logs import configure_logging
from mpanel_billing.settings import load_settings


def worker() -> None:
    """Provision, ask Stripe and retry events until SIGINT or SIGTERM."""
    settings = load_settings()
    configure_logging(settings)
    asyncio.run(run_worker(settings))
