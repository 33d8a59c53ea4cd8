"""The latest API requests, for `GET /_sandbox/requests` and the page at `/`."""

import json
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError
from stripe_sandbox.params import decode_form

KEPT = 1_000
"""How many requests are kept; older ones are dropped."""


class RequestLog:
    """Requests under `/v1` with their outcome, in memory."""

    def __init__(self) -> None:
        self._kept: deque[Document] = deque(maxlen=KEPT)

    def newest_first(self, *, method: str | None = None, path: str = "") -> Iterator[ReadOnly]:
        """Iterate over the requests of a method (None: any), to paths that begin with `path`."""
        for entry in reversed(self._kept):
            if entry["path"].startswith(path) and method in {None, entry["method"]}:
                yield entry

    def clear(self) -> None:
        """Forget all requests."""
        self._kept.clear()

    def recording(self) -> Middleware:
        """Return the middleware that records requests."""

        @web.middleware
        async def record(request: web.Request, handler: Handler) -> web.StreamResponse:
            if not request.path.startswith("/v1/"):
                return await handler(request)
            began = time.time()
            response: web.StreamResponse | None = None
            try:
                response = await handler(request)
            finally:
                self._kept.append(await _entry(request, response, began))
            return response

        return record


async def _entry(
    request: web.Request, response: web.StreamResponse | None, began: float
) -> Document:
    """Return what is known of a request; without a response, its connection was cut."""
    headers = response.headers if response else {}
    return {
        "id": headers.get("Request-Id"),
        "created": began,
        "seconds": round(time.time() - began, 6),
        "method": request.method,
        "path": request.path,
        "params": await _params(request),
        "idempotency_key": request.headers.get("Idempotency-Key"),
        "stripe_version": request.headers.get("Stripe-Version"),
        "user_agent": request.headers.get("User-Agent"),
        "status": response.status if response else None,
        "replayed": "Idempotent-Replayed" in headers,
        "error": _error(response),
    }


async def _params(request: web.Request) -> Document:
    """Return the params as they were sent: values are text, lists are maps of their indexes."""
    text = request.rel_url.raw_query_string
    if request.method == "POST" and request.content_type != "multipart/form-data":
        text = (await request.read()).decode(errors="replace")
    pairs = parse_qsl(text, keep_blank_values=True)
    with suppress(ApiError):
        return decode_form(pairs)
    return dict(pairs)


def _error(response: web.StreamResponse | None) -> Any:
    """Return Stripe's error object of a failed request."""
    if not isinstance(response, web.Response) or response.status < web.HTTPBadRequest.status_code:
        return None
    return json.loads(response.text or "{}").get("error")
