"""The `http` driver of domains: calls a service before a registrar, with JSON.

docs/provisioning-service.yaml is the contract.
"""

from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Literal, Self, get_args
from uuid import UUID

import aiohttp
from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, ValidationError

from mpanel_billing.domains.names import is_name
from mpanel_billing.provisioning.drivers.protocol import Unknown
from mpanel_billing.provisioning.drivers.registrar import (
    Availability,
    DomainCommand,
    DomainDone,
    DomainFound,
    DomainRefused,
    DomainResult,
    DomainUnsettled,
    RegisteredName,
    WhyRefused,
)
from mpanel_billing.provisioning.drivers.signed_client import (
    LONGEST_QUOTE,
    ServiceAddress,
    SignedClient,
    describe_failure,
    describe_response,
    is_done,
    is_done_before,
    is_refusal,
    seconds_of,
)
from mpanel_billing.telemetry.quoting import quote

_WHY: dict[str, WhyRefused] = {why: why for why in get_args(WhyRefused)}


def _server_name(text: str) -> str:
    name = text.strip().lower().rstrip(".")
    if not is_name(name):
        msg = "must be a host name, like ns1.example.net"
        raise ValueError(msg)
    return name


NameServer = Annotated[str, AfterValidator(_server_name)]


class HttpRegistrarSettings(ServiceAddress):
    """Where the service is, and the name servers that new domains get."""

    nameservers: Annotated[tuple[NameServer, ...], Field(max_length=13)] = ()


class _Problem(BaseModel):
    """Why the registrar, or the registry behind it, has refused an order."""

    code: str | None = None
    message: str | None = None
    fields: tuple[str, ...] = ()

    def refused(self, said: str, response: dict[str, Any] | None = None) -> DomainRefused:
        """Return it as a refusal; `said` is what to say without a message."""
        message = f"{said}: {quote(self.message, LONGEST_QUOTE)}" if self.message else said
        return DomainRefused(message, response, _WHY.get(self.code or ""), self.fields)


class DomainCommandResponse(_Problem):
    """The response to a command."""

    externalRef: str | None = None  # noqa: N815 - the contract's name
    authCode: str | None = None  # noqa: N815 - the contract's name


class AvailabilityResponse(BaseModel):
    """Whether anybody can register a name."""

    available: bool


class DomainResponse(BaseModel):
    """The registrar's description of a domain."""

    externalRef: str  # noqa: N815 - the contract's name
    status: Literal["pending", "failed", "active", "expired", "redemption", "transferred_out"]
    domainId: UUID | None = None  # noqa: N815 - the contract's name
    registeredAt: AwareDatetime | None = None  # noqa: N815 - the contract's name
    expiresAt: AwareDatetime | None = None  # noqa: N815 - the contract's name
    autoRenew: bool | None = None  # noqa: N815 - the contract's name
    nameservers: tuple[NameServer, ...] | None = None
    generation: int | None = None
    problem: _Problem | None = None

    def found(self) -> DomainFound:
        """Return it as the result of an inspection."""
        problem = self.problem or _Problem()
        return DomainFound(
            self.status,
            self.externalRef,
            self.domainId,
            self.registeredAt,
            self.expiresAt,
            self.autoRenew,
            self.nameservers,
            self.generation,
            problem.refused("the registry refused it") if self.status == "failed" else None,
        )


class HttpRegistrar:
    """Sends commands about domains to one service over HTTP."""

    name: ClassVar[str] = "http"
    settings: ClassVar[type[BaseModel]] = HttpRegistrarSettings

    def __init__(self, client: SignedClient, name_servers: tuple[str, ...]) -> None:
        """Call the service of the client; new domains get these name servers."""
        self._client = client
        self.name_servers = name_servers

    @classmethod
    def open(cls, settings: HttpRegistrarSettings, session: aiohttp.ClientSession, /) -> Self:
        """Return a driver for one service."""
        return cls(SignedClient(settings, session), settings.nameservers)

    async def check(self, domain: str) -> Availability | Unknown:
        """Ask whether anybody can register a name."""
        path = self._client.base / "domains" / domain / "availability"
        parsed = await self._client.look_up(path, AvailabilityResponse)
        if parsed is None:
            return Unknown(f"HTTP {HTTPStatus.NOT_FOUND}")
        return parsed if isinstance(parsed, Unknown) else Availability(parsed.available)

    async def register(self, command: DomainCommand) -> DomainResult:
        """Register it."""
        return await self._send_command(command)

    async def transfer(self, command: DomainCommand) -> DomainResult:
        """Transfer it here."""
        return await self._send_command(command)

    async def renew(self, command: DomainCommand) -> DomainResult:
        """Renew it."""
        return await self._send_command(command)

    async def set_nameservers(self, command: DomainCommand) -> DomainResult:
        """Set its name servers."""
        return await self._send_command(command)

    async def set_auto_renew(self, command: DomainCommand) -> DomainResult:
        """Turn the registrar's own renewal on or off."""
        return await self._send_command(command)

    async def release(self, command: DomainCommand) -> DomainResult:
        """Unlock it, and return its auth code."""
        return await self._send_command(command)

    async def inspect(self, name: RegisteredName) -> DomainFound | Unknown:
        """Return how it is in the host's account."""
        path = self._client.base / "domains" / name.domain
        parsed = await self._client.look_up(path, DomainResponse)
        if parsed is None:
            return DomainFound("absent")
        return parsed if isinstance(parsed, Unknown) else parsed.found()

    async def _send_command(self, command: DomainCommand) -> DomainResult:
        try:
            status, text, retry_after = await self._client.order(
                command.idempotency_key, _body_of(command)
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            return DomainUnsettled(describe_failure(error))
        return read_result(status, text, retry_after)


def read_result(status: int, body: bytes, retry_after: str | None) -> DomainResult:
    """Turn the service's response into a result, by the same rules as for accounts.

    An auth code in it is not part of what is stored.
    """
    try:
        parsed = DomainCommandResponse.model_validate_json(body)
    except ValidationError:
        parsed = DomainCommandResponse()
    response = {"status": status, **parsed.model_dump(exclude_none=True, exclude={"authCode"})}
    already = is_done_before(status, parsed.code)
    if is_done(status, parsed.code) and parsed.externalRef:
        return DomainDone(parsed.externalRef, already, response, auth_code=parsed.authCode)
    if is_refusal(status) and not already:
        return parsed.refused(f"HTTP {status}", response)
    error = describe_response(status, parsed.message)
    return DomainUnsettled(error, response, seconds_of(retry_after))


def _body_of(command: DomainCommand) -> dict[str, Any]:
    return {
        "action": command.action,
        "productType": "domain",
        "domainId": str(command.domain_id),
        "domain": command.domain,
        "generation": command.generation,
        "externalRef": command.external_ref,
        "details": command.details,
    }
