"""What an ID token says, once it is proven to be the provider's, for us, and for this attempt."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from mpanel_billing.console.oidc.errors import SignInRefusedError

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""Those whose keys the provider alone has; never `none`, and no HMAC under what we have, too."""

LEEWAY_SECONDS = 60


class UnknownKeyIdError(Exception):
    """The token is signed by a key that is not among those known: the provider has rolled them."""


@dataclass(frozen=True, slots=True)
class Expected:
    """For whom and which attempt a token has to be."""

    issuer: str
    client_id: str
    nonce: str


def read_id_token(
    text: str, provider_keys: KeySet, expected: Expected, now: datetime
) -> Mapping[str, Any]:
    """Return the claims; UnknownKeyIdError, SignInRefusedError for any other fault."""
    try:
        token = jwt.decode(text, provider_keys, algorithms=ALGORITHMS)
        _claims_registry(expected, now).validate(token.claims)
    except InvalidKeyIdError as error:
        raise UnknownKeyIdError from error
    except (JoseError, ValueError) as error:
        raise _refused(str(error) or type(error).__name__) from error
    _require_authorized_party(token.claims, expected.client_id)
    return token.claims


def _claims_registry(expected: Expected, now: datetime) -> jwt.JWTClaimsRegistry:
    return jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=LEEWAY_SECONDS,
        iss={"essential": True, "value": expected.issuer},
        aud={"essential": True, "value": expected.client_id},
        nonce={"essential": True, "value": expected.nonce},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )


def _require_authorized_party(claims: Mapping[str, Any], client_id: str) -> None:
    """Of a token for several, the one that asked for it has to be us (Core 1.0, 3.1.3.7)."""
    party, audience = claims.get("azp"), claims["aud"]
    for_several = isinstance(audience, list) and len(audience) > 1
    if party != client_id and (party is not None or for_several):
        raise _refused("it was issued to another client")


def _refused(why: str) -> SignInRefusedError:
    return SignInRefusedError(f"The identity provider's token cannot be trusted: {why}.")
