"""The available drivers, and which one serves which product type."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
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
from mpanel_billing.settings import (
    EndpointSettings,
    ServerSettings,
    ServiceSettings,
    Settings,
    describe_settings_error,
)
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
class Server:
    """One of several servers of a product type: how it is called, and what it takes."""

    limited: LimitedDriver
    weight: int = 1
    capacity: int | None = None
    tags: tuple[str, ...] = ()
    unnamed: bool = False


@dataclass(frozen=True, slots=True)
class Drivers:
    """The drivers of a process: those of `by_type`, else the fallback.

    `pools`: the servers by name of product types that have several. `registrar` manages domains;
    None: the hosting service does.
    """

    fallback: LimitedDriver
    by_type: Mapping[str, LimitedDriver] = field(default_factory=dict)
    pools: Mapping[str, Mapping[str, Server]] = field(default_factory=dict)
    registrar: LimitedRegistrar | None = None

    def choose(self, product_type: str) -> LimitedDriver:
        """Return the driver for a new account of that type; of several servers, any one's."""
        for server in self.pools.get(product_type, {}).values():
            return server.limited
        return self.by_type.get(product_type, self.fallback)

    def find(self, product_type: str, driver_name: str, server: str | None) -> LimitedDriver | None:
        """Return the driver of an existing account; None if it is no longer configured.

        `server`: the one that has the account; None: it was made when there was only one.
        """
        named = self._named(product_type, server)
        candidates = (named, None if server else self.fallback)
        return next((each for each in candidates if each and each.driver.name == driver_name), None)

    def places(
        self, product_type: str, driver_name: str | None = None
    ) -> Sequence[tuple[str | None, LimitedDriver]]:
        """Return where an account of that type can be: each server, or the one service.

        `driver_name`: of an account on record.
        """
        pool = self.pools.get(product_type)
        if pool:
            return [(name, server.limited) for name, server in pool.items()]
        if driver_name is None:
            return [(None, self.choose(product_type))]
        found = self.find(product_type, driver_name, None)
        return [] if found is None else [(None, found)]

    def _named(self, product_type: str, server: str | None) -> LimitedDriver | None:
        pool = self.pools.get(product_type)
        if not pool:
            return None if server else self.choose(product_type)
        if server is not None:
            return pool[server].limited if server in pool else None
        return next((each.limited for each in pool.values() if each.unnamed), None)


@dataclass(frozen=True, slots=True)
class _Configured(Generic[ClassT]):
    """A service of PROVISIONING_SERVICES, checked: its driver, and that driver's settings."""

    driver: ClassT
    settings: BaseModel
    common: EndpointSettings

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
    concurrency, registrar = settings.provisioning_concurrency, services.registrar
    tracing = active_tracing()
    async with aiohttp.ClientSession(
        cookie_jar=aiohttp.DummyCookieJar(),
        trace_configs=[tracing.client_traces()] if tracing else None,
    ) as session:

        def opened(each: _Configured[DriverClass]) -> LimitedDriver:
            return LimitedDriver(each.driver.open(each.settings, session), each.limit(concurrency))

        yield Drivers(
            fallback=LimitedDriver(LogDriver(), ConcurrencyLimit(concurrency)),
            by_type={type_: opened(each) for type_, each in services.accounts.items()},
            pools={
                type_: {name: _server_of(each.common, opened(each)) for name, each in pool.items()}
                for type_, pool in services.pools.items()
            },
            registrar=None
            if registrar is None
            else LimitedRegistrar(
                registrar.driver.open(registrar.settings, session), registrar.limit(concurrency)
            ),
        )


def _server_of(settings: EndpointSettings, limited: LimitedDriver) -> Server:
    if not isinstance(settings, ServerSettings):
        return Server(limited)
    return Server(limited, settings.weight, settings.capacity, settings.tags, settings.unnamed)


@dataclass(frozen=True, slots=True)
class _Services:
    """The services of PROVISIONING_SERVICES, checked."""

    accounts: dict[str, _Configured[DriverClass]] = field(default_factory=dict)
    pools: dict[str, dict[str, _Configured[DriverClass]]] = field(default_factory=dict)
    registrar: _Configured[RegistrarClass] | None = None


def _configured(settings: Settings, known: Iterable[DriverClass]) -> _Services:
    accounts: dict[str, _Configured[DriverClass]] = {}
    pools: dict[str, dict[str, _Configured[DriverClass]]] = {}
    registrar: _Configured[RegistrarClass] | None = None
    faults: list[str] = []
    for product_type, service in settings.provisioning_services.items():
        try:
            if product_type == DOMAIN:
                registrar = _configure(product_type, service, REGISTRARS)
            elif service.servers:
                pools[product_type] = _configure_pool(product_type, service, known)
            else:
                accounts[product_type] = _configure(product_type, service, known)
        except SettingsError as error:
            faults.append(str(error))
    if faults:
        raise SettingsError("\n".join(faults))
    return _Services(accounts, pools, registrar)


def _configure_pool(
    product_type: str, service: ServiceSettings, known: Iterable[DriverClass]
) -> dict[str, _Configured[DriverClass]]:
    pool: dict[str, _Configured[DriverClass]] = {}
    faults: list[str] = []
    for name, server in service.servers.items():
        try:
            pool[name] = _configure(f"{product_type}.servers.{name}", server, known)
        except SettingsError as error:
            faults.append(str(error))
    if faults:
        raise SettingsError("\n".join(faults))
    return pool


def _configure(
    place: str, common: EndpointSettings, known: Iterable[ClassT]
) -> _Configured[ClassT]:
    by_name = {driver.name: driver for driver in known}
    driver = by_name.get(common.driver_name)
    if driver is None:
        names = ", ".join(sorted(by_name))
        raise SettingsError(
            f"PROVISIONING_SERVICES: {place}.driver {common.driver_name!r} is unknown;"
            f" the drivers are {names}"
        )
    try:
        return _Configured(driver, driver.settings.model_validate(common.own), common)
    except ValidationError as error:
        path = ("PROVISIONING_SERVICES", place)
        raise SettingsError(describe_settings_error(error, path)) from None
