"""The driver that speaks JSON over HTTP to what has the accounts: SRV1, mail-core, dns-core.

docs/provisioning-service.yaml is the contract.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import aiohttp
from pydantic import BaseModel, ValidationError
from yarl import URL

from mpanel_billing.provisioning.drivers.protocol import (
    Account,
    Done,
    Found,
    Order,
    Refused,
    Result,
    Unknown,
    Unsettled,
)
from mpanel_billing.provisioning.service_state import Actual
from mpanel_billing.settings import ServiceEndpoint
from mpanel_billing.telemetry.logs import redact

SIGNATURE_HEADER = "X-Mpanel-Signature"

_TRY_AGAIN = frozenset(
    {
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_EARLY,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
_LONGEST_ANSWER = 64 * 1024
_LONGEST_QUOTE = 200


class OrderAnswer(BaseModel):
    """What the service answers to an order."""

    externalRef: str | None = None  # noqa: N815 - the contract's name
    code: str | None = None
    message: str | None = None


class AccountAnswer(BaseModel):
    """What the service tells of an account."""

    externalRef: str  # noqa: N815 - the contract's name
    state: Actual
    resources: dict[str, Any] | None = None


class HttpDriver:
    """Gives orders to one service over HTTP."""

    name = "http"

    def __init__(self, session: aiohttp.ClientSession, endpoint: ServiceEndpoint) -> None:
        """Speak to the endpoint over the session."""
        self._session = session
        self._endpoint = endpoint
        self._base = URL(str(endpoint.url))
        self._timeout = aiohttp.ClientTimeout(total=endpoint.timeout_seconds)

    async def create(self, order: Order) -> Result:
        """Have the account made."""
        return await self._give(order)

    async def suspend(self, order: Order) -> Result:
        """Have the account shut."""
        return await self._give(order)

    async def resume(self, order: Order) -> Result:
        """Have the account opened again."""
        return await self._give(order)

    async def change(self, order: Order) -> Result:
        """Have the account's resources changed."""
        return await self._give(order)

    async def terminate(self, order: Order) -> Result:
        """Have the account taken away."""
        return await self._give(order)

    async def inspect(self, account: Account) -> Found | Unknown:
        """Ask for the account's state."""
        path = self._base / "accounts" / account.product_type / str(account.subscription_id)
        try:
            status, body, _ = await self._send("GET", path, b"", {})
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unknown(_describe_break(error))
        if status == HTTPStatus.NOT_FOUND:
            return Found("absent")
        if status != HTTPStatus.OK:
            return Unknown(f"HTTP {status}")
        try:
            answer = AccountAnswer.model_validate_json(body)
        except ValidationError:
            return Unknown("its answer is not of the contract")
        return Found(answer.state, answer.externalRef, answer.resources)

    async def _give(self, order: Order) -> Result:
        body = json.dumps(_body_of(order), sort_keys=True).encode()
        headers = {"Idempotency-Key": order.idempotency_key, "Content-Type": "application/json"}
        try:
            status, text, retry_after = await self._send(
                "POST", self._base / "orders", body, headers
            )
        except (aiohttp.ClientError, TimeoutError) as error:
            return Unsettled(_describe_break(error))
        return read_answer(order, status, text, retry_after)

    async def _send(
        self, method: str, url: URL, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes, str | None]:
        """Send a signed request; answer status, body and Retry-After."""
        signed = {
            **headers,
            "Authorization": f"Bearer {self._endpoint.token.get_secret_value()}",
            SIGNATURE_HEADER: sign(
                self._endpoint.secret.get_secret_value(), int(time.time()), method, url.path, body
            ),
        }
        async with self._session.request(
            method, url, data=body, headers=signed, timeout=self._timeout, allow_redirects=False
        ) as response:
            text = await response.content.read(_LONGEST_ANSWER)
            return response.status, text, response.headers.get("Retry-After")


def sign(secret: str, timestamp: int, method: str, path: str, body: bytes) -> str:
    """Return the signature header: HMAC-SHA256 over time, method, path and body."""
    signed = f"{timestamp}.{method}.{path}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def read_answer(order: Order, status: int, body: bytes, retry_after: str | None) -> Result:
    """Turn an answer into a result.

    2xx: done. 409 `already_done`: done before. Other 4xx: refused, but for those that ask to
    come again. All else, a 2xx without a reference included: may or may not be done.
    """
    try:
        answer = OrderAnswer.model_validate_json(body)
    except ValidationError:
        answer = OrderAnswer()
    response = {"status": status, **answer.model_dump(exclude_none=True)}
    is_done = HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES
    already = status == HTTPStatus.CONFLICT and answer.code == "already_done"
    if (is_done or already) and answer.externalRef:
        return Done(answer.externalRef, already, response)
    quote = f": {redact(answer.message)[:_LONGEST_QUOTE]}" if answer.message else ""
    error = f"HTTP {status}{quote}"
    is_refusal = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    if is_refusal and status not in _TRY_AGAIN and not already:
        return Refused(error, response)
    return Unsettled(error, response, _seconds(retry_after))


def _body_of(order: Order) -> dict[str, Any]:
    return {
        "action": order.action,
        "subscriptionId": str(order.subscription_id),
        "productType": order.product_type,
        "generation": order.generation,
        "externalRef": order.external_ref,
        "details": order.details,
    }


def _describe_break(error: Exception) -> str:
    """Say what broke, without the address and whatever else an exception quotes."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"no answer: {type(error).__name__}"


def _seconds(retry_after: str | None) -> float | None:
    """Read Retry-After in seconds; its other form, a date, is left to our own backoff."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else None
