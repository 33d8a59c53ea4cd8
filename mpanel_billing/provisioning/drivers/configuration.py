"""The drivers that the settings ask for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from mpanel_billing.provisioning.drivers.http import HttpDriver
from mpanel_billing.provisioning.drivers.log import LogDriver
from mpanel_billing.provisioning.drivers.registry import Drivers, Lane, Throttle
from mpanel_billing.settings import ServiceEndpoint, Settings
from mpanel_billing.telemetry.tracing import active_tracing


@asynccontextmanager
async def open_drivers(settings: Settings) -> AsyncIterator[Drivers]:
    """Open a driver for each of PROVISIONING_SERVICES; orders for other types are only logged."""
    concurrency = settings.provisioning_concurrency
    tracing = active_tracing()
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[tracing.client_traces()] if tracing else None,
    ) as session:
        yield Drivers(
            fallback=Lane(LogDriver(), Throttle(concurrency)),
            by_type={
                product_type: Lane(HttpDriver(session, endpoint), _throttle(endpoint, concurrency))
                for product_type, endpoint in settings.provisioning_services.items()
            },
        )


def _throttle(endpoint: ServiceEndpoint, concurrency: int) -> Throttle:
    return Throttle(endpoint.concurrency or concurrency, endpoint.per_second)
