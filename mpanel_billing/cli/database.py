"""The database and Stripe, as commands open them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from mpanel_billing.database.pool import Pool, create_pool
from mpanel_billing.settings import DatabaseSettings, load_database_settings, load_settings

if TYPE_CHECKING:
    from mpanel_billing.mirror.mirror import Mirror
    from mpanel_billing.provisioning.drivers.registry import Drivers

T = TypeVar("T")


def with_pool(do: Callable[[Pool], Awaitable[T]], settings: DatabaseSettings | None = None) -> T:
    """Run a function with a pool, for DATABASE_URL unless given settings; return its result."""

    async def run() -> T:
        async with await create_pool(settings or load_database_settings()) as pool:
            return await do(pool)

    return asyncio.run(run())


def with_mirror(do: Callable[["Mirror"], Awaitable[T]]) -> T:
    """Run a function with the mirror, which calls Stripe, and return its result."""

    async def run() -> T:
        async with open_mirror() as mirror:
            return await do(mirror)

    return asyncio.run(run())


def with_drivers(do: Callable[["Mirror", "Drivers"], Awaitable[T]]) -> T:
    """Run a function with the mirror and the drivers of services and registrar."""
    from mpanel_billing.provisioning.drivers.registry import open_drivers  # noqa: PLC0415

    async def run() -> T:
        async with open_mirror() as mirror, open_drivers(load_settings()) as drivers:
            return await do(mirror, drivers)

    return asyncio.run(run())


@asynccontextmanager
async def open_mirror() -> AsyncIterator["Mirror"]:
    """Open a pool and a client of Stripe's API for all settings."""
    # loading these takes longer than most commands that do without them
    from mpanel_billing.mirror.mirror import Mirror  # noqa: PLC0415
    from mpanel_billing.stripe_gateway.gateway import open_gateway  # noqa: PLC0415

    settings = load_settings()
    async with await create_pool(settings) as pool, open_gateway(settings) as gateway:
        yield Mirror(pool, gateway, settings.livemode)
