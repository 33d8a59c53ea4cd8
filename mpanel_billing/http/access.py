"""Who may call the operators' routes."""

import hmac

from aiohttp import hdrs, web

from mpanel_billing.errors import UnauthenticatedError
from mpanel_billing.http import keys

_SCHEME = "bearer"


def require_admin_key(request: web.Request) -> None:
    """Let a request pass that carries one of ADMIN_API_KEYS; else UnauthenticatedError.

    Every configured key is compared, in constant time.
    """
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    known = [key.get_secret_value() for key in request.app[keys.SETTINGS].admin_api_keys]
    matches = [hmac.compare_digest(given.strip().encode(), key.encode()) for key in known]
    if scheme.lower() != _SCHEME or not any(matches):
        raise UnauthenticatedError(
            'This address needs "Authorization: Bearer <key>" with one of ADMIN_API_KEYS.'
        )
