"""The description of this API: for programs at /openapi.json, for people at /docs."""

from http import HTTPStatus

from aiohttp import web

from mpanel_billing.http.openapi.document import DOCUMENT
from mpanel_billing.http.openapi.operation import Content, Operation, described
from mpanel_billing.http.openapi.page import CONTENT_SECURITY_POLICY

routes = web.RouteTableDef()

_NO_CACHE = {"Cache-Control": "no-cache"}


@routes.get("/openapi.json")
@described(
    Operation("documents", {HTTPStatus.OK: Content("application/json", "An OpenAPI document.")})
)
async def get_document(request: web.Request) -> web.Response:
    """Answer with the description of this API, in OpenAPI 3.1."""
    document = request.app[DOCUMENT]
    return web.Response(body=document.json, content_type="application/json", headers=_NO_CACHE)


@routes.get("/docs")
@described(Operation("documents", {HTTPStatus.OK: Content("text/html", "A page.")}))
async def get_page(request: web.Request) -> web.Response:
    """Answer with the same as a page."""
    document = request.app[DOCUMENT]
    headers = _NO_CACHE | {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return web.Response(text=document.page, content_type="text/html", headers=headers)
