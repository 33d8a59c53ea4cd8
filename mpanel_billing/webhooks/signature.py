"""Verifies Stripe's webhook signature; no I/O.

Source: Stripe's documentation, "Verify webhook signatures manually". The SDK's own check is not
used: it takes one secret (two are in use while one is rolled), decodes the body first and raises
AttributeError for some bodies.
"""

import hmac
from collections.abc import Sequence

from mpanel_billing.errors import MalformedRequestError

TOLERANCE_SECONDS = 300
_MAX_HEADER_LENGTH = 4096
_MAX_TIMESTAMP_DIGITS = 12


class SignatureError(MalformedRequestError):
    """The request is not signed by a configured secret; `code` says what is wrong."""

    code = "signature_invalid"


def verify_signature(
    body: bytes, header: str | None, secrets: Sequence[bytes], *, now: float
) -> None:
    """Raise SignatureError unless one of the secrets signed the body.

    `now` is Unix time in seconds; a timestamp more than 300 s off is refused.
    """
    timestamp, candidates = _parse(header)
    signed = timestamp.encode() + b"." + body
    expected = [hmac.digest(secret, signed, "sha256") for secret in secrets]
    # compare every pair in constant time, so that timing reveals nothing
    matches = [hmac.compare_digest(have, want) for have in candidates for want in expected]
    if not any(matches):
        raise SignatureError("The Stripe-Signature header matches no configured webhook secret.")
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        raise SignatureError(
            "The webhook signature is too old, or the server clock is off.",
            code="signature_too_old",
        )


def _parse(header: str | None) -> tuple[str, list[bytes]]:
    """Return the timestamp and the v1 signatures; other schemes (v0) are ignored."""
    if header is None:
        raise SignatureError("The Stripe-Signature header is missing.", code="signature_missing")
    if len(header) > _MAX_HEADER_LENGTH:
        raise _malformed()
    pairs = [pair.strip().partition("=") for pair in header.split(",")]
    timestamps = [value for key, _, value in pairs if key == "t"]
    if len(timestamps) != 1 or not _is_timestamp(timestamps[0]):
        raise _malformed()
    candidates = [_digest(value) for key, _, value in pairs if key == "v1"]
    if not candidates:
        raise _malformed()
    return timestamps[0], candidates


def _is_timestamp(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= _MAX_TIMESTAMP_DIGITS


def _digest(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _malformed() -> SignatureError:
    return SignatureError("The Stripe-Signature header is malformed.", code="signature_malformed")
