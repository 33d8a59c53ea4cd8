"""A sign-in that is under way: what the browser has to bring back, and nobody else can.

It is a signed text in a cookie, so that any process can finish it, and no row is left behind by who
gives up.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from mpanel_billing.access.signed import ExpiredTokenError, Signer, UnreadableTokenError
from mpanel_billing.console.oidc.errors import SignInRefusedError
from mpanel_billing.console.words import say

LIFETIME = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Attempt:
    """What is made for one sign-in; `time_zone` is the browser's, `back` the page it returns to.

    `state` returns with the response, `nonce` in the ID token; `verifier` proves whose the code is.
    """

    state: str
    nonce: str
    verifier: str
    time_zone: str
    back: str = ""

    @property
    def challenge(self) -> str:
        """What the provider is told of the verifier (RFC 7636, S256)."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def fits(self, state: str) -> bool:
        """Return whether a response is to this attempt."""
        return hmac.compare_digest(self.state.encode(), state.encode())


class Attempts:
    """Begins attempts, and recognises them."""

    def __init__(self, signing: Sequence[bytes]) -> None:
        """Sign with the first of the secrets."""
        self._signer = Signer(signing, "console-oidc")

    def begin(self, time_zone: str, now: datetime, back: str = "") -> tuple[Attempt, str]:
        """Return a new attempt and its text."""
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        attempt = Attempt(state, nonce, verifier, time_zone, back)
        return attempt, self._signer.sign(asdict(attempt), now=now, lifetime=LIFETIME)

    def read(self, text: str, now: datetime) -> Attempt:
        """Return the attempt of a text; SignInRefusedError."""
        try:
            return Attempt(**self._signer.read(text, now=now))
        except ExpiredTokenError:
            raise SignInRefusedError(say("refusal.oidc_late")) from None
        except UnreadableTokenError:
            raise SignInRefusedError(say("refusal.oidc_elsewhere")) from None
