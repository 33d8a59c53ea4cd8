"""A driver is one class and one line: PROVISIONING_SERVICES chooses it by name."""

from collections.abc import Mapping
from typing import Any, ClassVar, Self
from uuid import UUID

import aiohttp
import pytest
from pydantic import BaseModel, ConfigDict, SecretStr

from mpanel_billing.errors import SettingsError
from mpanel_billing.provisioning.drivers.log import LogDriver
from mpanel_billing.provisioning.drivers.protocol import (
    Account,
    Done,
    DriverCommand,
    Fits,
    Found,
    Result,
    Unknown,
)
from mpanel_billing.provisioning.drivers.registry import (
    DRIVERS,
    DriverClass,
    check_services,
    open_drivers,
)
from tests.service import make_settings

COMMAND = DriverCommand(
    action="create",
    idempotency_key="key-1",
    subscription_id=UUID(int=1),
    product_type="hosting",
    generation=1,
    external_ref=None,
)
HTTP = {"url": "https://srv1.test/", "token": "hunter2", "secret": "hunter2"}


class WhmSettings(BaseModel):
    """Settings that only this driver has."""

    model_config = ConfigDict(extra="forbid")

    server: str
    api_token: SecretStr


class WhmDriver:
    """A driver for another control panel."""

    name: ClassVar[str] = "whm"
    settings: ClassVar[type[BaseModel]] = WhmSettings

    def __init__(self, settings: WhmSettings) -> None:
        self._settings = settings

    @classmethod
    def open(cls, settings: WhmSettings, _session: aiohttp.ClientSession, /) -> Self:
        return cls(settings)

    async def create(self, command: DriverCommand) -> Result:
        return self._done(command)

    async def suspend(self, command: DriverCommand) -> Result:
        return self._done(command)

    async def resume(self, command: DriverCommand) -> Result:
        return self._done(command)

    async def change(self, command: DriverCommand) -> Result:
        return self._done(command)

    async def terminate(self, command: DriverCommand) -> Result:
        return self._done(command)

    async def inspect(self, account: Account) -> Found | Unknown:
        return Found("active", account.external_ref)

    async def check_change(self, account: Account, resources: Mapping[str, Any]) -> Fits:
        return Fits()

    def _done(self, command: DriverCommand) -> Result:
        return Done(f"{self._settings.server}/{command.product_type}")


KNOWN: tuple[DriverClass, ...] = (*DRIVERS, WhmDriver)
WHM = {"driver": "whm", "server": "whm1", "api_token": "hunter2"}


async def test_a_new_driver_is_a_class_and_a_line() -> None:
    settings = make_settings(provisioning_services={"hosting": WHM | {"concurrency": 3}})
    check_services(settings, KNOWN)
    async with open_drivers(settings, KNOWN) as drivers:
        hosting = drivers.find("hosting", "whm", None)
        assert hosting is not None
        assert await hosting.driver.create(COMMAND) == Done("whm1/hosting")
        assert drivers.choose("email").driver.name == "log"


@pytest.mark.parametrize(
    ("service", "driver"),
    [
        (HTTP, "http"),
        (HTTP | {"driver": "http"}, "http"),
        ({}, "log"),
        ({"concurrency": 2}, "log"),
        ({"driver": "log"}, "log"),
        (WHM, "whm"),
    ],
)
async def test_the_driver_is_the_named_one_else_http_with_a_url_else_log(
    service: dict[str, object], driver: str
) -> None:
    settings = make_settings(provisioning_services={"hosting": service})
    async with open_drivers(settings, KNOWN) as drivers:
        assert drivers.choose("hosting").driver.name == driver


@pytest.mark.parametrize(
    ("service", "fault"),
    [
        (WHM, "hosting.driver 'whm' is unknown; the drivers are http, log"),
        ({"driver": "http"}, "hosting.url is missing; see .env.example"),
        ({"url": "https://x.y"}, "hosting.token is missing; see .env.example"),
        (HTTP | {"url": "hunter2"}, "hosting.url Input should be a valid URL"),
        (HTTP | {"tokne": "hunter2"}, "hosting.tokne Extra inputs are not permitted"),
        ({"token": "hunter2"}, "hosting.token Extra inputs are not permitted"),
    ],
)
async def test_a_wrong_service_is_named_but_its_values_are_not_repeated(
    service: dict[str, object], fault: str
) -> None:
    settings = make_settings(provisioning_services={"hosting": service})
    with pytest.raises(SettingsError) as caught:
        check_services(settings)
    text = str(caught.value)
    assert f"PROVISIONING_SERVICES: {fault}" in text
    assert "hunter2" not in text + repr(settings)
    with pytest.raises(SettingsError):
        async with open_drivers(settings):
            pass


def test_the_faults_of_all_services_are_named_at_once() -> None:
    services = {"hosting": {"driver": "x"}, "email": {"url": "https://x.y"}}
    with pytest.raises(SettingsError) as caught:
        check_services(make_settings(provisioning_services=services))
    assert [line.split()[1] for line in str(caught.value).splitlines()] == [
        "hosting.driver",
        "email.token",
        "email.secret",
    ]


def test_every_driver_has_a_name_of_its_own() -> None:
    names = [driver.name for driver in DRIVERS]
    assert len(names) == len(set(names))
    assert LogDriver.name in names
