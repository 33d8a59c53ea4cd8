"""What a registrar's driver receives and returns."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol, TypeAlias
from uuid import UUID

from mpanel_billing.provisioning.drivers.protocol import Unknown

DomainAction = Literal[
    "register", "transfer", "renew", "set_nameservers", "set_auto_renew", "release"
]

RegistrarStatus = Literal[
    "absent", "pending", "failed", "active", "expired", "redemption", "transferred_out"
]
"""How a name is in the host's account at the registrar.

`absent`: it is not there. `pending`: the order is under way at the registry. `failed`: the registry
has refused it. `expired`: it can be renewed as usual; `redemption`: for more money.
`transferred_out`: it has gone to another registrar.
"""

WhyRefused = Literal["domain_unavailable", "auth_code_wrong", "registrant_incomplete"]
"""What is done about a refusal without a person: another name, another code, further data."""


@dataclass(frozen=True, slots=True)
class DomainCommand:
    """One command about a domain.

    A repetition has the same `idempotency_key`, `generation` and `details`, and must have no
    further effect; one whose `generation` is lower than one already seen must have none at all.
    `external_ref` is the registrar's id of the domain, None before it has one. `details` may hold
    an auth code: they are neither logged nor shown.
    """

    action: DomainAction
    idempotency_key: str
    domain_id: UUID
    domain: str
    generation: int
    external_ref: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class DomainDone:
    """The registrar has taken the command; what has come of it is told by `inspect`.

    `already`: it was so before. `expires_at`: for registrars that cannot be asked. `auth_code`: of
    `release`; it is not stored.
    """

    external_ref: str
    already: bool = False
    response: Mapping[str, Any] | None = None
    expires_at: datetime | None = None
    auth_code: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class DomainUnsettled:
    """The command may or may not have taken effect: the domain is inspected before a repetition.

    `retry_after`: the delay that the registrar asks for, in seconds.
    """

    error: str
    response: Mapping[str, Any] | None = None
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class DomainRefused:
    """Nothing was done, and repeating it will not help.

    `why`: what can be done about it without a person, None if nothing. `fields`: of the registrant
    what is missing or not accepted.
    """

    error: str
    response: Mapping[str, Any] | None = None
    why: WhyRefused | None = None
    fields: tuple[str, ...] = ()


DomainResult: TypeAlias = DomainDone | DomainUnsettled | DomainRefused


@dataclass(frozen=True, slots=True)
class RegisteredName:
    """The name to inspect."""

    domain_id: UUID
    domain: str
    external_ref: str | None


@dataclass(frozen=True, slots=True)
class DomainFound:
    """A name as the registrar reports it; None: it does not say.

    `domain_id`: for which row of ours it was ordered. `auto_renew` is the registrar's own renewal.
    `generation`: the highest that it has accepted.
    `refused`: why the registry has refused the order, of one that `failed`.
    """

    status: RegistrarStatus
    external_ref: str | None = None
    domain_id: UUID | None = None
    registered_at: datetime | None = None
    expires_at: datetime | None = None
    auto_renew: bool | None = None
    name_servers: tuple[str, ...] | None = None
    generation: int | None = None
    refused: DomainRefused | None = None


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether anybody can register a name; a premium name cannot be registered at our price."""

    available: bool


class Registrar(Protocol):
    """Registers domains at one registrar, or at a service before it.

    Each method returns within the driver's own timeout and does not raise: a failure with an
    unknown outcome is DomainUnsettled or Unknown, a rejection DomainRefused.
    """

    @property
    def name(self) -> str:
        """The name stored with each domain."""
        ...

    @property
    def name_servers(self) -> tuple[str, ...]:
        """Those that a new domain gets; empty: the registrar's own."""
        ...

    async def check(self, domain: str) -> Availability | Unknown:
        """Return whether anybody can register a name; changes nothing."""
        ...

    async def register(self, command: DomainCommand) -> DomainResult:
        """Register it for the registrant in `details`; the registrar's own renewal is off."""
        ...

    async def transfer(self, command: DomainCommand) -> DomainResult:
        """Transfer it here with the auth code in `details`; the registrar's own renewal is off."""
        ...

    async def renew(self, command: DomainCommand) -> DomainResult:
        """Renew it by `years`, if it still expires at `expiresAt`: else it was renewed already."""
        ...

    async def set_nameservers(self, command: DomainCommand) -> DomainResult:
        """Have it served by the `nameservers` in `details`."""
        ...

    async def set_auto_renew(self, command: DomainCommand) -> DomainResult:
        """Turn the registrar's own renewal on or off."""
        ...

    async def release(self, command: DomainCommand) -> DomainResult:
        """Unlock it for its owner to take it elsewhere, and return the auth code for that."""
        ...

    async def inspect(self, name: RegisteredName) -> DomainFound | Unknown:
        """Return how the name is in the host's account; nothing else says when it expires."""
        ...
