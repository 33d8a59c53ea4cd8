"""Recognises the browser that placed an order, by a cookie that only this service can make.

An e-mail address proves nothing, so it takes the same browser to replace an order that it placed
minutes ago. The site sends credentials with its requests from another origin: hence SameSite=None,
which browsers accept with Secure only. The prefix of the name keeps other hosts of our domain, such
as tenants under it, from setting one (docs/decisions/0019).
"""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from uuid import UUID

from aiohttp import hdrs, web

from mpanel_billing.access.signed import ExpiredTokenError, Signer, UnreadableTokenError
from mpanel_billing.http import keys
from mpanel_billing.http.client_address import client_of

COOKIE = "__Host-mpanel-browser"
LIFETIME = timedelta(days=1)
"""As long as a payment page is open; each order renews it."""

_ATTRIBUTES = f"Path=/; Max-Age={int(LIFETIME.total_seconds())}; Secure; HttpOnly; SameSite=None"
_BROWSER = web.RequestKey("browser", UUID)
_CLAIM = "id"
_EPOCH = datetime.fromtimestamp(0, UTC)


def browser_of(request: web.Request, body: object) -> UUID:
    """Return the id of the request's browser; the response will set the cookie.

    A browser without a cookie gets the id that follows from its address, its name and the body: a
    double click, or a repeat after a lost response, comes from the same browser.
    """
    signer = _signer(request.app)
    found = _read(signer, request.cookies.get(COOKIE, ""))
    browser = request[_BROWSER] = found or _first_id(signer, request, body)
    return browser


async def remember_browser(request: web.Request, response: web.StreamResponse) -> None:
    """Set the cookie on the response, an error too; for `on_response_prepare`."""
    if _BROWSER not in request:
        return
    claims = {_CLAIM: str(request[_BROWSER])}
    token = _signer(request.app).sign(claims, now=datetime.now(UTC), lifetime=LIFETIME)
    response.headers.add(hdrs.SET_COOKIE, f"{COOKIE}={token}; {_ATTRIBUTES}")


def _signer(app: web.Application) -> Signer:
    return Signer(app[keys.WEBHOOK_SECRETS], "browser")


def _read(signer: Signer, token: str) -> UUID | None:
    try:
        return UUID(signer.read(token, now=datetime.now(UTC))[_CLAIM])
    except (UnreadableTokenError, ExpiredTokenError):
        return None


def _first_id(signer: Signer, request: web.Request, body: object) -> UUID:
    """Return an id that cannot be guessed, and that does not tell what it was made of."""
    seen = {
        "client": client_of(request),
        "agent": request.headers.get(hdrs.USER_AGENT, ""),
        "body": hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest(),
    }
    signed = signer.sign(seen, now=_EPOCH, lifetime=timedelta())
    return UUID(bytes=hashlib.sha256(signed.encode()).digest()[:16])
