"""Connections: how long a client may take, and what it hears when it does not speak HTTP.

aiohttp waits for the headers of a request as long as for the next request, and answers a request
that it cannot parse by itself: with a traceback in the log, and with what was sent in the response.
"""

import asyncio
import logging
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from mpanel_billing.http.middleware import (
    error_of_aiohttp,
    internal_error_response,
    malformed_response,
)

logger = logging.getLogger(__name__)

HEADER_SECONDS = 10.0
"""How long the headers of a request may take, from their first byte."""

IDLE_SECONDS = 75.0
"""How long a connection stays open between requests: longer than nginx keeps it (a minute)."""

LINGERING_SECONDS = 2.0
"""How long the rest of a body is read and thrown away after the response."""


class Connection(RequestHandler):
    """A client's connection."""

    __slots__ = ("_header_seconds", "_header_timer")

    def __init__(self, *args: Any, header_seconds: float = HEADER_SECONDS, **kwargs: Any) -> None:
        """Take what aiohttp's own takes, and how long headers may take."""
        super().__init__(*args, **kwargs)
        self._header_seconds = header_seconds
        self._header_timer: asyncio.TimerHandle | None = None

    def data_received(self, data: bytes) -> None:
        """Start the clock with the first byte of a request; its last header stops it."""
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._stop_timer()
        elif self._header_timer is None and self._waits_for_request():
            self._header_timer = self._loop.call_later(self._header_seconds, self._give_up)

    def _waits_for_request(self) -> bool:
        waiter = self._waiter
        return self._request_count == 0 or (waiter is not None and not waiter.done())

    def _give_up(self) -> None:
        self._header_timer = None
        logger.info("a connection was closed: its headers took too long")
        self.force_close()

    def _stop_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Stop the clock."""
        self._stop_timer()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Return the response to what cannot be parsed, or to what no middleware has caught."""
        if request.writer.output_size > 0:
            raise ConnectionError("a response has already begun")
        if status < web.HTTPInternalServerError.status_code:
            response = malformed_response(request)
        else:
            logger.error("a request failed unexpectedly", exc_info=exc)
            response = internal_error_response()
        response.force_close()
        return response

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """Leave out a body that turns out to be broken only after the response: it is not read."""
        if not isinstance(kw.get("exc_info"), web.RequestPayloadError | ConnectionError):
            super().log_exception(*args, **kw)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send a response; aiohttp's own, such as the one to an unknown Expect, in our shape."""
        if isinstance(resp, web.HTTPException):
            resp = error_of_aiohttp(resp)
        return await super().finish_response(request, resp, start_time)


class _Server(web.Server):
    """Makes our connections."""

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application with our connections; takes what `Connection` takes."""

    def __init__(self, app: web.Application, **kwargs: Any) -> None:
        """Take the application."""
        limits = {"keepalive_timeout": IDLE_SECONDS, "lingering_time": LINGERING_SECONDS}
        super().__init__(app, access_log=None, **limits | kwargs)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **self._kwargs)
