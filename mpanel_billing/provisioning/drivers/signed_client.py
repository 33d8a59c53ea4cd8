"""Signed requests to a service, as docs/provisioning-service.yaml has them."""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import aiohttp
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from yarl import URL

from mpanel_billing.provisioning.drivers.protocol import Unknown
from mpanel_billing.telemetry.quoting import quote

Content = TypeVar("Content", bound=BaseModel)

Reply = tuple[int, bytes, str | None]
"""Status, body and Retry-After."""

JSON = {"Content-Type": "application/json"}

SIGNATURE_HEADER = "X-Mpanel-Signature"

TRY_AGAIN = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
"""The 4xx that say nothing about the command itself."""

LONGEST_QUOTE = 200
"""Characters of a service's own words that are kept."""

_MAX_RESPONSE_BYTES = 64 * 1024


class ServiceAddress(BaseModel):
    """Where the service is; `token` is its bearer key, `secret` signs the requests."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: AnyHttpUrl
    token: SecretStr
    secret: SecretStr
    timeout_seconds: float = Field(default=20, gt=0, le=300)


class SignedClient:
    """Sends requests to one service."""

    def __init__(self, address: ServiceAddress, session: aiohttp.ClientSession) -> None:
        """Call the service at `address.url` over the session."""
        self._session = session
        self._token = address.token.get_secret_value()
        self._secret = address.secret.get_secret_value()
        self.base = URL(str(address.url))
        self._timeout = aiohttp.ClientTimeout(total=address.timeout_seconds)

    async def send(
        self, method: str, url: URL, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Send a signed request; return status, body and Retry-After.

        Raises aiohttp.ClientError or TimeoutError without a response.
        """
        signed = {
            **(headers or {}),
            "Authorization": f"Bearer {self._token}",
            SIGNATURE_HEADER: sign(self._secret, int(time.time()), method, url.path, body),
        }
        async with self._session.request(
            method, url, data=body, headers=signed, timeout=self._timeout, allow_redirects=False
        ) as response:
            text = await response.content.read(_MAX_RESPONSE_BYTES)
            return response.status, text, response.headers.get("Retry-After")

    async def order(self, idempotency_key: str, content: Mapping[str, Any]) -> Reply:
        """Send a command; raises as `send`."""
        body = json.dumps(content, sort_keys=True).encode()
        headers = {"Idempotency-Key": idempotency_key, **JSON}
        return await self.send("POST", self.base / "orders", body, headers)

    async def look_up(self, path: URL, model: type[Content]) -> Content | Unknown | None:
        """Return what the service has at a path; None if there is nothing."""
        try:
            status, body, _ = await self.send("GET", path)
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unknown(describe_failure(error))
        if status == HTTPStatus.NOT_FOUND:
            return None
        return read_content(status, body, model)


def read_content(status: int, body: bytes, model: type[Content]) -> Content | Unknown:
    """Read the response to a question; Unknown if it does not answer it."""
    if status != HTTPStatus.OK:
        return Unknown(f"HTTP {status}")
    try:
        return model.model_validate_json(body)
    except ValidationError:
        return Unknown("its response does not match the contract")


def is_done_before(status: int, code: str | None) -> bool:
    """Whether a command was carried out when it came before."""
    return status == HTTPStatus.CONFLICT and code == "already_done"


def is_done(status: int, code: str | None) -> bool:
    """Whether a command is carried out, now or before."""
    is_success = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    return is_success or is_done_before(status, code)


def describe_response(status: int, message: str | None) -> str:
    """Describe a response that is no success, with what it says."""
    said = f": {quote(message, LONGEST_QUOTE)}" if message else ""
    return f"HTTP {status}{said}"


def sign(secret: str, timestamp: int, method: str, path: str, body: bytes) -> str:
    """Return the signature header: HMAC-SHA256 over time, method, path and body."""
    signed = f"{timestamp}.{method}.{path}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def describe_failure(error: Exception) -> str:
    """Describe the failure without the address and whatever else the exception quotes."""
    if isinstance(error, TimeoutError):
        return "timed out"
    return f"no response: {type(error).__name__}"


def is_refusal(status: int) -> bool:
    """Whether nothing was done, and repeating the request will not help."""
    is_theirs = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return is_theirs and status not in TRY_AGAIN


def seconds_of(retry_after: str | None) -> float | None:
    """Read Retry-After in seconds; a date, its other form, is ignored: our own backoff applies."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else None
