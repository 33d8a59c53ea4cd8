"""The `log` driver of domains: only logs commands, and registers nothing. For trials."""

import logging
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Self

import aiohttp
from pydantic import BaseModel

from mpanel_billing.provisioning.drivers.log import LogDriverSettings
from mpanel_billing.provisioning.drivers.protocol import Unknown
from mpanel_billing.provisioning.drivers.registrar import (
    Availability,
    DomainCommand,
    DomainDone,
    DomainFound,
    DomainResult,
    RegisteredName,
)

logger = logging.getLogger(__name__)

_YEAR = timedelta(days=365)


class LogRegistrar:
    """Reports every command as done after logging it; the expiry that it returns is made up."""

    name: ClassVar[str] = "log"
    settings: ClassVar[type[BaseModel]] = LogDriverSettings

    def __init__(self) -> None:
        """Have the registrar's own name servers: there are none."""
        self.name_servers: tuple[str, ...] = ()

    @classmethod
    def open(cls, _settings: LogDriverSettings, _session: aiohttp.ClientSession, /) -> Self:
        """Return a driver; it needs neither settings nor a session."""
        return cls()

    async def check(self, domain: str) -> Availability | Unknown:
        """Return Unknown: nobody is asked."""
        return _nobody()

    async def register(self, command: DomainCommand) -> DomainResult:
        """Log it."""
        return _log(command, datetime.now(UTC) + _YEAR)

    async def transfer(self, command: DomainCommand) -> DomainResult:
        """Log it."""
        return _log(command, datetime.now(UTC) + _YEAR)

    async def renew(self, command: DomainCommand) -> DomainResult:
        """Log it."""
        expires_at = datetime.fromisoformat(command.details["expiresAt"])
        return _log(command, expires_at + _YEAR * command.details["years"])

    async def set_nameservers(self, command: DomainCommand) -> DomainResult:
        """Log it."""
        return _log(command)

    async def set_auto_renew(self, command: DomainCommand) -> DomainResult:
        """Log it."""
        return _log(command)

    async def release(self, command: DomainCommand) -> DomainResult:
        """Log it; there is no auth code."""
        return _log(command)

    async def inspect(self, name: RegisteredName) -> DomainFound | Unknown:
        """Return Unknown: nothing is registered."""
        return _nobody()


def _nobody() -> Unknown:
    return Unknown("domains are only logged", permanently=True)


def _log(command: DomainCommand, expires_at: datetime | None = None) -> DomainResult:
    logger.info(
        "%s domain",
        command.action,
        extra={
            "domain": command.domain,
            "domainId": str(command.domain_id),
            "action": command.action,
        },
    )
    return DomainDone(command.external_ref or f"log-{command.domain_id}", expires_at=expires_at)
