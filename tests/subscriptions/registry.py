"""A registry in memory, behind the protocol of registrars: what it has sold is its ledger."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from mpanel_billing.provisioning.drivers.protocol import Unknown
from mpanel_billing.provisioning.drivers.registrar import (
    Availability,
    DomainCommand,
    DomainDone,
    DomainFound,
    DomainRefused,
    DomainResult,
    RegisteredName,
)


def a_year_after(moment: datetime) -> datetime:
    """The same day of the next year; of the 29th of February the day before."""
    day = 28 if (moment.month, moment.day) == (2, 29) else moment.day
    return moment.replace(year=moment.year + 1, day=day)


@dataclass
class Registry:
    """Names and when they expire. `sold`: the years that were paid to it, by key."""

    now: datetime
    expires: dict[str, datetime] = field(default_factory=dict)
    sold: dict[str, str] = field(default_factory=dict)
    refuses: str | None = None
    name: ClassVar[str] = "registry"
    name_servers: ClassVar[tuple[str, ...]] = ()

    async def check(self, domain: str) -> Availability | Unknown:
        return Availability(domain not in self.expires)

    async def register(self, command: DomainCommand) -> DomainResult:
        self.sold.setdefault(command.idempotency_key, command.domain)
        self.expires.setdefault(command.domain, a_year_after(self.now))
        return DomainDone(f"r-{command.domain}")

    transfer = register

    async def renew(self, command: DomainCommand) -> DomainResult:
        if self.refuses:
            return DomainRefused(self.refuses)
        expires_at = datetime.fromisoformat(command.details["expiresAt"])
        if self.expires[command.domain] == expires_at:
            self.sold[command.idempotency_key] = command.domain
            self.expires[command.domain] = a_year_after(expires_at)
        return DomainDone(f"r-{command.domain}")

    async def set_nameservers(self, command: DomainCommand) -> DomainResult:
        return DomainDone(f"r-{command.domain}")

    async def set_auto_renew(self, command: DomainCommand) -> DomainResult:
        return DomainDone(f"r-{command.domain}")

    async def release(self, command: DomainCommand) -> DomainResult:
        return DomainDone(f"r-{command.domain}", auth_code=f"code-of-{command.domain}")

    async def inspect(self, name: RegisteredName) -> DomainFound | Unknown:
        expires_at = self.expires.get(name.domain)
        if expires_at is None:
            return DomainFound("absent")
        status = "active" if expires_at > self.now else "expired"
        return DomainFound(status, f"r-{name.domain}", expires_at=expires_at, auto_renew=False)
