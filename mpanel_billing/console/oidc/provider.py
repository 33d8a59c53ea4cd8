"""The identity provider: its discovery document, its keys, and its responses."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from yarl import URL

from mpanel_billing.console.oidc.attempt import Attempt
from mpanel_billing.console.oidc.errors import ProviderError, SignInRefusedError
from mpanel_billing.settings import LOOPBACK

KEPT_SECONDS = 3600.0
"""How long the discovery document and the keys count; unknown keys are asked for at once."""
_FRESH_SECONDS = 10.0
"""However many tokens have unknown keys, or people sign in in vain, it is not asked more often."""
_TIMEOUT = aiohttp.ClientTimeout(total=10)
_MOST_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Client:
    """Who we are at the provider; `secret` is None for a public client."""

    issuer: str
    id: str
    secret: str | None
    redirect_uri: str
    scopes: str


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read of the provider, and when."""

    document: Mapping[str, Any]
    keys: KeySet
    at: float


class Provider:
    """Asks the provider; each response is checked and bounded, and no redirect is followed."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        client: Client,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """Know nothing yet."""
        self._session, self.client = session, client
        self._clock = clock or time.monotonic
        self._known: _Known | None = None
        self._failed: tuple[float, ProviderError] | None = None
        self._turn = asyncio.Lock()

    async def address_for(self, attempt: Attempt) -> str:
        """Return where the browser goes to sign in."""
        document = (await self._read()).document
        query = {
            "response_type": "code",
            "client_id": self.client.id,
            "redirect_uri": self.client.redirect_uri,
            "scope": self.client.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        endpoint = str(document["authorization_endpoint"])
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def keys(self, *, fresh: bool = False) -> KeySet:
        """Return the keys that sign its tokens; `fresh`: asks again, if it may."""
        return (await self._read(_FRESH_SECONDS if fresh else KEPT_SECONDS)).keys

    async def exchange(self, code: str, attempt: Attempt) -> Mapping[str, Any]:
        """Return the tokens for a code; SignInRefusedError if it takes none, ProviderError."""
        document = (await self._read()).document
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.client.redirect_uri,
            "code_verifier": attempt.verifier,
        }
        form, headers = self._authenticated(document, form)
        status, answer = await self._ask(
            "POST", str(document["token_endpoint"]), data=form, headers=headers
        )
        if status != HTTPStatus.OK:
            raise SignInRefusedError(
                f"The identity provider did not take the code: {_said(answer, status)}."
            )
        return answer

    async def user_info(self, access_token: str) -> Mapping[str, Any]:
        """Return the claims of its userinfo endpoint; none if it has none."""
        endpoint = (await self._read()).document.get("userinfo_endpoint")
        if not endpoint:
            return {}
        headers = {"Authorization": f"Bearer {access_token}"}
        status, answer = await self._ask("GET", _checked(endpoint), headers=headers)
        if status != HTTPStatus.OK:
            raise ProviderError(f"The identity provider's userinfo says {_said(answer, status)}.")
        return answer

    def _authenticated(
        self, document: Mapping[str, Any], form: dict[str, str]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Say who we are: by HTTP Basic unless the provider only takes a form (RFC 6749, 2.3.1)."""
        if self.client.secret is None:
            return {**form, "client_id": self.client.id}, {}
        methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_basic" not in methods and "client_secret_post" in methods:
            own = {"client_id": self.client.id, "client_secret": self.client.secret}
            return {**form, **own}, {}
        name, secret = quote(self.client.id, safe=""), quote(self.client.secret, safe="")
        return form, {"Authorization": aiohttp.encode_basic_auth(name, secret)}

    async def _read(self, age: float = KEPT_SECONDS) -> _Known:
        async with self._turn:
            now, known = self._clock(), self._known
            if known is not None and now - known.at <= age:
                return known
            if self._failed and now - self._failed[0] <= _FRESH_SECONDS:
                raise self._failed[1]
            try:
                known = self._known = await self._discover()
            except ProviderError as error:
                self._failed = (self._clock(), error)
                raise
            return known

    async def _discover(self) -> _Known:
        address = f"{self.client.issuer.rstrip('/')}/.well-known/openid-configuration"
        document = await self._get(address)
        if document.get("issuer") != self.client.issuer:
            raise ProviderError(
                f"{address} is of the issuer {document.get('issuer')!r}, not of"
                f" {self.client.issuer!r}: CONSOLE_OIDC_ISSUER has to be exactly as it says."
            )
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            _checked(document.get(name))
        listed = await self._get(str(document["jwks_uri"]))
        try:
            keys = KeySet.import_key_set(listed)  # type: ignore[arg-type]
        except (JoseError, KeyError, TypeError, ValueError) as error:
            raise ProviderError(f"The identity provider's keys cannot be read: {error}.") from error
        return _Known(document, keys, self._clock())

    async def _get(self, address: str) -> Mapping[str, Any]:
        status, answer = await self._ask("GET", address)
        if status != HTTPStatus.OK:
            raise ProviderError(f"{address} responds with {status}.")
        return answer

    async def _ask(self, method: str, address: str, **given: Any) -> tuple[int, Mapping[str, Any]]:
        try:
            async with self._session.request(
                method, URL(address, encoded=True), timeout=_TIMEOUT, allow_redirects=False, **given
            ) as response:
                return response.status, _object(await _body(response), address)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            host = urlsplit(address).netloc
            raise ProviderError(
                f"The identity provider cannot be reached at {host}: {type(error).__name__}."
            ) from error


async def _body(response: aiohttp.ClientResponse) -> bytes:
    read = bytearray()
    async for part in response.content.iter_any():
        read += part
        if len(read) > _MOST_BYTES:
            raise ProviderError(f"{response.url.host} responds with more than it should.")
    return bytes(read)


def _object(body: bytes, address: str) -> Mapping[str, Any]:
    try:
        read = json.loads(body)
    except ValueError:
        read = None
    if not isinstance(read, dict):
        raise ProviderError(f"{urlsplit(address).netloc} does not respond in JSON.")
    return read


def _checked(address: object) -> str:
    """Return an address of the document that secrets may be sent to."""
    parts = urlsplit(address) if isinstance(address, str) else None
    is_safe = parts and (parts.scheme == "https" or is_local(parts.scheme, parts.hostname))
    if not is_safe:
        raise ProviderError(f"The identity provider names {address!r}, which is no https address.")
    return str(address)


def is_local(scheme: str, host: str | None) -> bool:
    """Return whether an address is http on this machine, where nobody listens in between."""
    return scheme == "http" and host in LOOPBACK


def _said(answer: Mapping[str, Any], status: int) -> str:
    """Return what went wrong in the provider's words (RFC 6749, 5.2)."""
    said = [answer.get(name) for name in ("error", "error_description")]
    words = [one for one in said if isinstance(one, str) and one.isprintable()]
    return ", ".join(words)[:300] or str(status)
