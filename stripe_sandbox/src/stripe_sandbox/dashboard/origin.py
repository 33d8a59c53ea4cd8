"""Refuses what pages of other sites send: a browser would let them move the clock or reset."""

from urllib.parse import urlsplit

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

GUARDED = ("/dashboard/", "/_sandbox/")
READING = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITE = frozenset({"same-origin", "none"})


@web.middleware
async def refuse_other_sites(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Respond 403 to a change that a page of another origin asks for."""
    if request.method not in READING and request.path.startswith(GUARDED) and is_foreign(request):
        raise web.HTTPForbidden(text="A page of another site sent this request; it was refused.")
    return await handler(request)


def is_foreign(request: web.Request) -> bool:
    """Return whether a browser says that a page of another origin sent the request.

    Older browsers send only `Origin`, programs neither header.
    """
    site = request.headers.get(hdrs.SEC_FETCH_SITE)
    if site is not None:
        return site not in OWN_SITE
    origin = request.headers.get(hdrs.ORIGIN)
    return origin is not None and urlsplit(origin).netloc != request.host
