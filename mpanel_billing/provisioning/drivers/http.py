"""The `http` driver: calls a service that hosts accounts (SRV1, mail-core, dns-core) with JSON.

docs/provisioning-service.yaml is the contract.
"""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, ClassVar, Self

import aiohttp
from pydantic import BaseModel, Field, ValidationError

from mpanel_billing.provisioning.drivers.protocol import (
    AccessData,
    Account,
    DoesNotFit,
    Done,
    DriverCommand,
    Fits,
    Found,
    Refused,
    Result,
    Unknown,
    Unsettled,
)
from mpanel_billing.provisioning.drivers.signed_client import (
    JSON,
    LONGEST_QUOTE,
    ServiceAddress,
    SignedClient,
    describe_failure,
    describe_response,
    is_done,
    is_done_before,
    is_refusal,
    read_content,
    seconds_of,
)
from mpanel_billing.provisioning.service_state import Actual
from mpanel_billing.telemetry.quoting import quote

logger = logging.getLogger(__name__)

_NOT_OFFERED = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
)


Line = Annotated[str, Field(min_length=1, max_length=2048, pattern=r"^[^\x00-\x1f\x7f]+$")]


class AccessResponse(BaseModel):
    """What the owner of a new account logs in with."""

    userName: Line | None = None  # noqa: N815 - the contract's name
    server: Line | None = None
    link: Line | None = None


class CommandResponse(BaseModel):
    """The service's response to a command; `access` is read apart, and goes into no log."""

    externalRef: str | None = None  # noqa: N815 - the contract's name
    dataMoved: bool = False  # noqa: N815 - the contract's name
    code: str | None = None
    message: str | None = None
    access: Any = Field(default=None, exclude=True, repr=False)

    @property
    def access_data(self) -> AccessData | None:
        """The access data, if it is as the contract has it; what is not is left out."""
        try:
            given = AccessResponse.model_validate(self.access or {})
        except ValidationError:
            logger.warning("the access data that a service returned does not match the contract")
            return None
        if not given.model_dump(exclude_none=True):
            return None
        return AccessData(given.userName, given.server, given.link)


class FitResponse(BaseModel):
    """Whether what an account uses fits into other resources."""

    fits: bool
    message: str | None = None


class AccountResponse(BaseModel):
    """The service's description of an account."""

    externalRef: str  # noqa: N815 - the contract's name
    state: Actual
    resources: dict[str, Any] | None = None
    generation: int | None = None
    suspendedBy: str | None = None  # noqa: N815 - the contract's name
    domains: tuple[str, ...] = ()
    suspensionReason: str | None = None  # noqa: N815 - the contract's name

    @property
    def suspended_by_service(self) -> str | None:
        """Why others than billing have suspended it; None if they have not."""
        if self.state != "suspended" or self.suspendedBy in {None, "billing"}:
            return None
        return quote(self.suspensionReason or "no reason given", LONGEST_QUOTE)


class HttpDriver:
    """Sends commands to one service over HTTP."""

    name: ClassVar[str] = "http"
    settings: ClassVar[type[BaseModel]] = ServiceAddress

    def __init__(self, client: SignedClient) -> None:
        """Call the service of the client."""
        self._client = client

    @classmethod
    def open(cls, settings: ServiceAddress, session: aiohttp.ClientSession, /) -> Self:
        """Return a driver for one service."""
        return cls(SignedClient(settings, session))

    async def create(self, command: DriverCommand) -> Result:
        """Create the account."""
        return await self._send_command(command)

    async def suspend(self, command: DriverCommand) -> Result:
        """Suspend the account."""
        return await self._send_command(command)

    async def resume(self, command: DriverCommand) -> Result:
        """Resume the account."""
        return await self._send_command(command)

    async def change(self, command: DriverCommand) -> Result:
        """Change the account's resources."""
        return await self._send_command(command)

    async def terminate(self, command: DriverCommand) -> Result:
        """Delete the account."""
        return await self._send_command(command)

    async def inspect(self, account: Account) -> Found | Unknown:
        """Return the account's state."""
        path = self._client.base / "accounts" / account.product_type / str(account.created_for)
        parsed = await self._client.look_up(path, AccountResponse)
        if parsed is None:
            return Found("absent")
        if isinstance(parsed, Unknown):
            return parsed
        return Found(
            parsed.state,
            parsed.externalRef,
            parsed.resources,
            parsed.suspended_by_service,
            parsed.generation,
            parsed.domains,
        )

    async def check_change(
        self, account: Account, resources: Mapping[str, Any]
    ) -> Fits | DoesNotFit | Unknown:
        """Ask the service whether what the account uses fits."""
        path = self._client.base / "accounts" / account.product_type / str(account.created_for)
        content = {"externalRef": account.external_ref, "resources": resources}
        asked = json.dumps(content, sort_keys=True).encode()
        try:
            status, body, _ = await self._client.send("POST", path / "check-change", asked, JSON)
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unknown(describe_failure(error))
        return read_fit(status, body)

    async def _send_command(self, command: DriverCommand) -> Result:
        try:
            status, text, retry_after = await self._client.order(
                command.idempotency_key, _body_of(command)
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unsettled(describe_failure(error))
        return read_response(status, text, retry_after)


def read_response(status: int, body: bytes, retry_after: str | None) -> Result:
    """Turn the service's response into a result.

    2xx: done. 409 `already_done`: done before. Any other 4xx: refused, except those that mean
    "try again". Everything else, including a 2xx without a reference: outcome unknown.
    """
    try:
        parsed = CommandResponse.model_validate_json(body)
    except ValidationError:
        parsed = CommandResponse()
    response = {"status": status, **parsed.model_dump(exclude_none=True, exclude_defaults=True)}
    already = is_done_before(status, parsed.code)
    if is_done(status, parsed.code) and parsed.externalRef:
        return Done(parsed.externalRef, already, response, parsed.dataMoved, parsed.access_data)
    error = describe_response(status, parsed.message)
    if is_refusal(status) and not already:
        return Refused(error, response)
    return Unsettled(error, response, seconds_of(retry_after))


def read_fit(status: int, body: bytes) -> Fits | DoesNotFit | Unknown:
    """Turn the service's response to a check into a result; it need not offer checks."""
    if status in _NOT_OFFERED:
        return Unknown("the service does not check changes", permanently=True)
    parsed = read_content(status, body, FitResponse)
    if isinstance(parsed, Unknown):
        return parsed
    if parsed.fits:
        return Fits()
    return DoesNotFit(quote(parsed.message or "more is used than it would have", LONGEST_QUOTE))


def _body_of(command: DriverCommand) -> dict[str, Any]:
    return {
        "action": command.action,
        "subscriptionId": str(command.subscription_id),
        "productType": command.product_type,
        "generation": command.generation,
        "externalRef": command.external_ref,
        "details": command.details,
    }
