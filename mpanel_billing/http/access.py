"""Who calls: operators, mPanel's backend, or anybody."""

import hmac
from collections.abc import Iterable

from aiohttp import hdrs, web
from pydantic import SecretStr

from mpanel_billing.errors import UnauthenticatedError
from mpanel_billing.http import keys

_SCHEME = "bearer"


def require_admin_key(request: web.Request) -> None:
    """Let a request pass that carries one of ADMIN_API_KEYS; else UnauthenticatedError."""
    given = _bearer_key(request)
    if given is None or not _is_one_of(given, request.app[keys.SETTINGS].admin_api_keys):
        raise _refused("ADMIN_API_KEYS")


def comes_from_backend(request: web.Request) -> bool:
    """Tell whether mPanel's backend calls, by one of BILLING_API_KEYS.

    UnauthenticatedError for a key that is none of them: whoever sends one means to be known.
    """
    given = _bearer_key(request)
    if given is None:
        return False
    if not _is_one_of(given, request.app[keys.SETTINGS].billing_api_keys):
        raise _refused("BILLING_API_KEYS")
    return True


def _bearer_key(request: web.Request) -> str | None:
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return given.strip() if scheme.lower() == _SCHEME else None


def _is_one_of(given: str, known: Iterable[SecretStr]) -> bool:
    """Compare with every key, each in constant time."""
    matches = [
        hmac.compare_digest(given.encode(errors="surrogateescape"), key.get_secret_value().encode())
        for key in known
    ]
    return any(matches)


def _refused(setting: str) -> UnauthenticatedError:
    return UnauthenticatedError(
        f'This address needs "Authorization: Bearer <key>" with one of {setting}.'
    )
