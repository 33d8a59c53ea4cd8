"""Texts that this service has signed, for a purpose and until a time.

A token is `<claims>.<signature>`, both in URL-safe base64, so it fits into JSON, an address and a
cookie. The claims are readable by anyone who has it: never put a secret there. The signature is an
HMAC-SHA256 under a key derived from STRIPE_WEBHOOK_SECRET and the purpose, so all processes and
hosts agree, and a token for one purpose is worthless for another (docs/decisions/0017).
"""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

Purpose = Literal["plan-change-preview", "browser", "console-oidc", "console-form"]
"""What a token is for; one key is derived for each."""

LONGEST_TOKEN = 4096
"""Characters; also what browsers keep of a cookie."""

_LABEL = b"mpanel-billing signed text v1: "
_EXPIRY = "exp"


class UnreadableTokenError(ValueError):
    """A text that this service has not signed for this purpose."""


class ExpiredTokenError(ValueError):
    """A token of this service whose time is over; it still has its claims."""

    def __init__(self, claims: Mapping[str, Any]) -> None:
        """Keep what the token said."""
        super().__init__("expired")
        self.claims = claims


class Signer:
    """Signs and reads the tokens of one purpose."""

    def __init__(self, secrets: Sequence[bytes], purpose: Purpose) -> None:
        """Sign with the first secret, and accept all: several while one is being rolled."""
        self._keys = [hmac.digest(one, _LABEL + purpose.encode(), "sha256") for one in secrets]

    def sign(self, claims: Mapping[str, Any], *, now: datetime, lifetime: timedelta) -> str:
        """Return a token with the claims (JSON values), valid from `now` for its lifetime."""
        expiry = int((now + lifetime).timestamp())
        body = json.dumps({**claims, _EXPIRY: expiry}, separators=(",", ":"), sort_keys=True)
        encoded = _encode(body.encode())
        return f"{encoded}.{_signature(self._keys[0], encoded)}"

    def read(self, token: str, *, now: datetime) -> dict[str, Any]:
        """Return the claims; UnreadableTokenError, ExpiredTokenError."""
        encoded, _, signature = token.partition(".")
        if len(token) > LONGEST_TOKEN or not self._has_signed(encoded, signature):
            raise UnreadableTokenError
        claims: dict[str, Any] = json.loads(urlsafe_b64decode(_padded(encoded)))
        if claims.pop(_EXPIRY) <= now.timestamp():
            raise ExpiredTokenError(claims)
        return claims

    def _has_signed(self, encoded: str, signature: str) -> bool:
        """Compare with every key in constant time."""
        if not (encoded.isascii() and signature.isascii()):
            return False
        return any(hmac.compare_digest(_signature(key, encoded), signature) for key in self._keys)


def _signature(key: bytes, encoded: str) -> str:
    return _encode(hmac.digest(key, encoded.encode(), "sha256"))


def _encode(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)
