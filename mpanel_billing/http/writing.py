"""Writes what an endpoint returns: as JSON that nobody keeps, or with an ETag."""

from collections.abc import Callable
from http import HTTPStatus

from aiohttp import hdrs, web
from multidict import CIMultiDict
from pydantic import BaseModel, TypeAdapter

from mpanel_billing.http.operation import ACCEPT_CURRENCY, Operation
from mpanel_billing.http.response_headers import HEADERS, NO_STORE
from mpanel_billing.http.schemas.base import CacheableResponse

CACHE_CONTROL = "public, no-cache"
"""May be stored, but has to be revalidated: a changed catalogue shows at once. Answers to a key are
made `no-store`: only who asked keeps them, with their ETag.
"""

_JSON = CIMultiDict({**HEADERS, hdrs.CONTENT_TYPE: "application/json; charset=utf-8"})
_UNCACHED = CIMultiDict({**_JSON, hdrs.CACHE_CONTROL: NO_STORE})
_REVALIDATED = CIMultiDict({**_JSON, hdrs.CACHE_CONTROL: CACHE_CONTROL})


def writer_of(operation: Operation) -> Callable[[web.Request, BaseModel], web.Response]:
    """Return what writes the response of an operation."""
    (status, model), *not_modified = operation.responses.items()
    assert isinstance(model, type)  # noqa: S101 - an endpoint returns a model
    if not_modified:
        return _by_currency if operation.by_currency else _revalidated
    to_json = TypeAdapter(model).dump_json

    def write(_: web.Request, returned: BaseModel) -> web.Response:
        body = to_json(returned, by_alias=True)
        return web.Response(body=body, status=status, headers=_UNCACHED)

    return write


def _by_currency(request: web.Request, returned: BaseModel) -> web.Response:
    response = _revalidated(request, returned)
    response.headers.add(hdrs.VARY, ACCEPT_CURRENCY)
    return response


def _revalidated(request: web.Request, returned: BaseModel) -> web.Response:
    """Return the body with its ETag, or 304 if the client has it already."""
    assert isinstance(returned, CacheableResponse)  # noqa: S101 - what a cached endpoint returns
    body, etag = returned.written
    known = request.if_none_match or ()
    if any(tag.value in {etag.strip('"'), "*"} for tag in known):
        response = web.Response(status=HTTPStatus.NOT_MODIFIED)
        response.headers[hdrs.CACHE_CONTROL] = CACHE_CONTROL
    else:
        response = web.Response(body=body, headers=_REVALIDATED)
    response.headers[hdrs.ETAG] = etag
    return response
