"""The `http` driver: calls a service that hosts accounts (SRV1, mail-core, dns-core) with JSON.

docs/provisioning-service.yaml is the contract.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Self

import aiohttp
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from yarl import URL

from mpanel_billing.provisioning.drivers.protocol import (
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
from mpanel_billing.provisioning.service_state import Actual
from mpanel_billing.telemetry.quoting import quote

SIGNATURE_HEADER = "X-Mpanel-Signature"

_TRY_AGAIN = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
_NOT_OFFERED = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
)
_MAX_RESPONSE_BYTES = 64 * 1024
_MAX_QUOTE = 200


class HttpDriverSettings(BaseModel):
    """Where the service is; `token` is its bearer key, `secret` signs the requests."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: AnyHttpUrl
    token: SecretStr
    secret: SecretStr
    timeout_seconds: float = Field(default=20, gt=0, le=300)


class CommandResponse(BaseModel):
    """The service's response to a command."""

    externalRef: str | None = None  # noqa: N815 - the contract's name
    code: str | None = None
    message: str | None = None


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
        return quote(self.suspensionReason or "no reason given", _MAX_QUOTE)


class HttpDriver:
    """Sends commands to one service over HTTP."""

    name: ClassVar[str] = "http"
    settings: ClassVar[type[BaseModel]] = HttpDriverSettings

    def __init__(self, settings: HttpDriverSettings, session: aiohttp.ClientSession) -> None:
        """Call the service at `settings.url` over the session."""
        self._session = session
        self._token = settings.token.get_secret_value()
        self._secret = settings.secret.get_secret_value()
        self._base = URL(str(settings.url))
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_seconds)

    @classmethod
    def open(cls, settings: HttpDriverSettings, session: aiohttp.ClientSession, /) -> Self:
        """Return a driver for one service."""
        return cls(settings, session)

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
        path = self._base / "accounts" / account.product_type / str(account.created_for)
        try:
            status, body, _ = await self._send("GET", path, b"", {})
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unknown(_describe_failure(error))
        if status == HTTPStatus.NOT_FOUND:
            return Found("absent")
        if status != HTTPStatus.OK:
            return Unknown(f"HTTP {status}")
        try:
            parsed = AccountResponse.model_validate_json(body)
        except ValidationError:
            return Unknown("its response does not match the contract")
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
        path = self._base / "accounts" / account.product_type / str(account.created_for)
        content = {"externalRef": account.external_ref, "resources": resources}
        headers = {"Content-Type": "application/json"}
        try:
            status, body, _ = await self._send(
                "POST", path / "check-change", json.dumps(content, sort_keys=True).encode(), headers
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unknown(_describe_failure(error))
        return read_fit(status, body)

    async def _send_command(self, command: DriverCommand) -> Result:
        body = json.dumps(_body_of(command), sort_keys=True).encode()
        headers = {"Idempotency-Key": command.idempotency_key, "Content-Type": "application/json"}
        try:
            status, text, retry_after = await self._send(
                "POST", self._base / "orders", body, headers
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unsettled(_describe_failure(error))
        return read_response(status, text, retry_after)

    async def _send(
        self, method: str, url: URL, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes, str | None]:
        """Send a signed request; return status, body and Retry-After."""
        signed = {
            **headers,
            "Authorization": f"Bearer {self._token}",
            SIGNATURE_HEADER: sign(self._secret, int(time.time()), method, url.path, body),
        }
        async with self._session.request(
            method, url, data=body, headers=signed, timeout=self._timeout, allow_redirects=False
        ) as response:
            text = await response.content.read(_MAX_RESPONSE_BYTES)
            return response.status, text, response.headers.get("Retry-After")


def sign(secret: str, timestamp: int, method: str, path: str, body: bytes) -> str:
    """Return the signature header: HMAC-SHA256 over time, method, path and body."""
    signed = f"{timestamp}.{method}.{path}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def read_response(status: int, body: bytes, retry_after: str | None) -> Result:
    """Turn the service's response into a result.

    2xx: done. 409 `already_done`: done before. Any other 4xx: refused, except those that mean
    "try again". Everything else, including a 2xx without a reference: outcome unknown.
    """
    try:
        parsed = CommandResponse.model_validate_json(body)
    except ValidationError:
        parsed = CommandResponse()
    response = {"status": status, **parsed.model_dump(exclude_none=True)}
    is_done = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    already = status == HTTPStatus.CONFLICT and parsed.code == "already_done"
    if (is_done or already) and parsed.externalRef:
        return Done(parsed.externalRef, already, response)
    said = f": {quote(parsed.message, _MAX_QUOTE)}" if parsed.message else ""
    error = f"HTTP {status}{said}"
    is_refusal = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if is_refusal and status not in _TRY_AGAIN and not already:
        return Refused(error, response)
    return Unsettled(error, response, _seconds(retry_after))


def read_fit(status: int, body: bytes) -> Fits | DoesNotFit | Unknown:
    """Turn the service's response to a check into a result; it need not offer checks."""
    if status in _NOT_OFFERED:
        return Unknown("the service does not check changes", permanently=True)
    if status != HTTPStatus.OK:
        return Unknown(f"HTTP {status}")
    try:
        parsed = FitResponse.model_validate_json(body)
    except ValidationError:
        return Unknown("its response does not match the contract")
    if parsed.fits:
        return Fits()
    return DoesNotFit(quote(parsed.message or "more is used than it would have", _MAX_QUOTE))


def _body_of(command: DriverCommand) -> dict[str, Any]:
    return {
        "action": command.action,
        "subscriptionId": str(command.subscription_id),
        "productType": command.product_type,
        "generation": command.generation,
        "externalRef": command.external_ref,
        "details": command.details,
    }


def _describe_failure(error: Exception) -> str:
    """Describe the failure without the address and whatever else the exception quotes."""
    if isinstance(error, TimeoutError):
        return "timed out"
    return f"no response: {type(error).__name__}"


def _seconds(retry_after: str | None) -> float | None:
    """Read Retry-After in seconds; a date, its other form, is ignored: our own backoff applies."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else None
