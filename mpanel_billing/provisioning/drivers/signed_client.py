"""Signed requests to a service, as docs/provisioning-service.yaml has them."""

import hashlib
import hmac
import time
from collections.abc import Mapping
from http import HTTPStatus

import aiohttp
from pydantic import AnyHttpUrl, BaseModel, ConfigDict, Field, SecretStr
from yarl import URL

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
    ) -> tuple[int, bytes, str | None]:
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
