"""The `log` driver: only logs commands. For trials, and for product types that no service hosts."""

import logging
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import aiohttp
from pydantic import BaseModel, ConfigDict

from mpanel_billing.provisioning.drivers.protocol import (
    Account,
    Done,
    DriverCommand,
    Fits,
    Found,
    Result,
    Unknown,
)

logger = logging.getLogger(__name__)


class LogDriverSettings(BaseModel):
    """The log driver has no settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class LogDriver:
    """Reports every command as done after logging it; the reference it returns is made up."""

    name: ClassVar[str] = "log"
    settings: ClassVar[type[BaseModel]] = LogDriverSettings

    @classmethod
    def open(cls, _settings: LogDriverSettings, _session: aiohttp.ClientSession, /) -> Self:
        """Return a driver; it needs neither settings nor a session."""
        return cls()

    async def create(self, command: DriverCommand) -> Result:
        """Log it."""
        return self._log(command)

    async def suspend(self, command: DriverCommand) -> Result:
        """Log it."""
        return self._log(command)

    async def resume(self, command: DriverCommand) -> Result:
        """Log it."""
        return self._log(command)

    async def change(self, command: DriverCommand) -> Result:
        """Log it."""
        return self._log(command)

    async def terminate(self, command: DriverCommand) -> Result:
        """Log it."""
        return self._log(command)

    async def inspect(self, account: Account) -> Found | Unknown:
        """Return Unknown: there is no account to look at."""
        reason = f"{account.product_type} has no accounts, its commands are only logged"
        return Unknown(reason, permanently=True)

    async def check_change(self, account: Account, resources: Mapping[str, Any]) -> Fits:
        """Return Fits: nothing is used."""
        return Fits()

    def _log(self, command: DriverCommand) -> Result:
        reference = command.external_ref or f"log-{command.subscription_id}"
        logger.info(
            "%s %s",
            command.action,
            command.product_type,
            extra={
                "subscriptionId": str(command.subscription_id),
                "productType": command.product_type,
                "action": command.action,
                "externalRef": reference,
            },
        )
        return Done(reference, data_moved="movedFrom" in command.details)
