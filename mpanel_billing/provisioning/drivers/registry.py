"""The available drivers, and which one serves which product type."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import aiohttp
from pydantic import BaseModel, ValidationError

from mpanel_billing.errors import SettingsError
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.provisioning.drivers.http import HttpDriver
from mpanel_billing.provisioning.drivers.http_registrar import HttpRegistrar
from mpanel_billing.provisioning.drivers.log import LogDriver
from mpanel_billing.provisioning.drivers.log_registrar import LogRegistrar
from mpanel_billing.provisioning.drivers.protocol import Driver
from mpanel_billing.provisioning.drivers.registrar import Registrar
from mpanel_billing.settings import ServiceSettings, Settings, describe_settings_error
from mpanel_billing.telemetry.tracing import active_tracing


class DriverClass(Protocol):
    """What a driver's class declares: its name, and its settings in PROVISIONING_SERVICES."""

    name: str
    settings: type[BaseModel]

    def open(self, settings: Any, session: aiohttp.ClientSession, /) -> Driver:
        """Return a driver for one service; `session` is shared, for those that call over HTTP."""
        ...


class RegistrarClass(Protocol):
    """What the class of a registrar's driver declares, as that of any other driver."""

    name: str
    settings: type[BaseModel]

    def open(self, settings: Any, session: aiohttp.ClientSession, /) -> Registrar:
        """Return a driver for one registrar; `session` is shared."""
        ...


DRIVERS: tuple[DriverClass, ...] = (
    HttpDriver,
    LogDriver,
)

REGISTRARS: tuple[RegistrarClass, ...] = (
    HttpRegistrar,
    LogRegistrar,
)

ClassT = TypeVar("ClassT", DriverClass, RegistrarClass)

DOMAIN = "domain"
"""The product type whose driver is a registrar's: a domain is no account of a subscription."""


class ConcurrencyLimit:
    """Limits this process to `concurrency` calls at once and `per_second` new ones."""

    def __init__(self, concurrency: int, per_second: float | None = None) -> None:
        """Set the limits; without `per_second` there is no rate limit."""
        self._places = asyncio.Semaphore(concurrency)
        self._pace = Pace(per_second) if per_second else None

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a free slot and the next start, and hold the slot."""
        async with self._places:
            if self._pace is not None:
                await self._pace.turn()
            yield


@dataclass(frozen=True, slots=True)
class LimitedDriver:
    """A driver and the limit under which it is called."""

    driver: Driver
    limit: ConcurrencyLimit


@dataclass(frozen=True, slots=True)
class LimitedRegistrar:
    """A registrar's driver and the limit under which it is called."""

    registrar: Registrar
    limit: ConcurrencyLimit


@dataclass(frozen=True, slots=True)
class Drivers:
    """The drivers of a process: those of `by_type`, else the fallback.

    `registrar` sees to domains; None: the hosting service does.
    """

    fallback: LimitedDriver
    by_type: Mapping[str, LimitedDriver] = field(default_factory=dict)
    registrar: LimitedRegistrar | None = None

    def choose(self, product_type: str) -> LimitedDriver:
        """Return the driver for a new account of that type."""
        return self.by_type.get(product_type, self.fallback)

    def find(self, product_type: str, driver_name: str) -> LimitedDriver | None:
        """Return the driver of an existing account; None if it is no longer configured."""
        candidates = (self.choose(product_type), self.fallback)
        return next((each for each in candidates if each.driver.name == driver_name), None)


@dataclass(frozen=True, slots=True)
class _Configured(Generic[ClassT]):
    """A service of PROVISIONING_SERVICES, checked: its driver, and that driver's settings."""

    driver: ClassT
    settings: BaseModel
    common: ServiceSettings

    def limit(self, usual: int) -> ConcurrencyLimit:
        """Return the limit under which it is called, `usual` if it has none of its own."""
        return ConcurrencyLimit(self.common.concurrency or usual, self.common.per_second)


def check_services(settings: Settings, known: Iterable[DriverClass] = DRIVERS) -> None:
    """Raise SettingsError if PROVISIONING_SERVICES names an unknown driver or is incomplete."""
    _configured(settings, known)


def list_unmade(settings: Settings, sold_types: Iterable[str]) -> list[str]:
    """Return the product types that are on sale and of which no service makes accounts.

    In test mode without any service everything is only logged on purpose, as by `make dev`.
    """
    if not settings.provisioning_services and not settings.livemode:
        return []
    return sorted(set(sold_types) - settings.provisioning_services.keys())


@asynccontextmanager
async def open_drivers(
    settings: Settings, known: Iterable[DriverClass] = DRIVERS
) -> AsyncIterator[Drivers]:
    """Open the driver of each service in PROVISIONING_SERVICES; other types are only logged.

    Raises SettingsError as `check_services` does.
    """
    services = _configured(settings, known)
    accounts, registrar = services.accounts, services.registrar
    concurrency = settings.provisioning_concurrency
    tracing = active_tracing()
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[tracing.client_traces()] if tracing else None,
    ) as session:
        yield Drivers(
            fallback=LimitedDriver(LogDriver(), ConcurrencyLimit(concurrency)),
            by_type={
                product_type: LimitedDriver(
                    each.driver.open(each.settings, session), each.limit(concurrency)
                )
                for product_type, each in accounts.items()
            },
            registrar=None
            if registrar is None
            else LimitedRegistrar(
                registrar.driver.open(registrar.settings, session), registrar.limit(concurrency)
            ),
        )


@dataclass(frozen=True, slots=True)
class _Services:
    """The services of PROVISIONING_SERVICES, checked."""

    accounts: Mapping[str, _Configured[DriverClass]]
    registrar: _Configured[RegistrarClass] | None


def _configured(settings: Settings, known: Iterable[DriverClass]) -> _Services:
    accounts: dict[str, _Configured[DriverClass]] = {}
    registrar: _Configured[RegistrarClass] | None = None
    faults: list[str] = []
    for product_type, common in settings.provisioning_services.items():
        try:
            if product_type == DOMAIN:
                registrar = _configure(product_type, common, REGISTRARS)
            else:
                accounts[product_type] = _configure(product_type, common, known)
        except SettingsError as error:
            faults.append(str(error))
    if faults:
        raise SettingsError("\n".join(faults))
    return _Services(accounts, registrar)


def _configure(
    product_type: str, common: ServiceSettings, known: Iterable[ClassT]
) -> _Configured[ClassT]:
    by_name = {driver.name: driver for driver in known}
    driver = by_name.get(common.driver_name)
    if driver is None:
        names = ", ".join(sorted(by_name))
        raise SettingsError(
            f"PROVISIONING_SERVICES: {product_type}.driver {common.driver_name!r} is unknown;"
            f" the drivers are {names}"
        )
    try:
        return _Configured(driver, driver.settings.model_validate(common.own), common)
    except ValidationError as error:
        place = ("PROVISIONING_SERVICES", product_type)
        raise SettingsError(describe_settings_error(error, place)) from None
