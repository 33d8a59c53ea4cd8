"""The drivers that the settings ask for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from mpanel_billing.provisioning.drivers.registry import Drivers, log_drivers
from mpanel_billing.settings import Settings


@asynccontextmanager
async def open_drivers(settings: Settings) -> AsyncIterator[Drivers]:
    """Open the drivers; orders for a product type without a service of its own are only logged."""
    yield log_drivers(settings.provisioning_concurrency)
