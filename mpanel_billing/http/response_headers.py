"""Headers of every response: what browsers and caches must not do with it."""

from aiohttp import hdrs, web

from mpanel_billing.http.client_address import came_by_https

HEADERS = {
    hdrs.SERVER: "mpanel-billing",  # without it, aiohttp names its own version and Python's
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
"""Endpoints begin their responses with these; the others get them at the end."""
NO_STORE = "no-store"
HSTS = "max-age=31536000"
"""A year, for this host only: what is below it may be mPanel's."""


def add_headers(app: web.Application) -> None:
    """Add the headers to each response of an application."""
    app.on_response_prepare.append(_add)


def secure(response: web.StreamResponse) -> None:
    """Add the headers that do not depend on the request; what says nothing else is not stored."""
    headers = response.headers
    if headers.get(hdrs.SERVER) != HEADERS[hdrs.SERVER]:  # aiohttp may have named itself already
        headers.update(HEADERS)
    headers.setdefault(hdrs.CACHE_CONTROL, NO_STORE)


async def _add(request: web.Request, response: web.StreamResponse) -> None:
    secure(response)
    if hdrs.AUTHORIZATION in request.headers:  # also of what is public without a key
        response.headers[hdrs.CACHE_CONTROL] = NO_STORE
    if came_by_https(request):
        response.headers[hdrs.STRICT_TRANSPORT_SECURITY] = HSTS
