"""Connections: how long a client may take, and what it hears when it does not speak HTTP.

aiohttp waits for the headers of a request as long as for the next request, and answers a request
that it cannot parse by itself: with a traceback in the log, and with what was sent in the response.

A direct route responds without a task, a request and a response of aiohttp's, which cost more
than what most webhooks need (docs/decisions/0039-webhooks-without-a-task.md).
"""

import asyncio
import logging
from typing import Any, Protocol

from aiohttp import StreamReader, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from mpanel_billing.http.middleware import (
    error_of_aiohttp,
    internal_error_response,
    malformed_response,
)
from mpanel_billing.http.request import has_arrived

logger = logging.getLogger(__name__)

HEADER_SECONDS = 10.0
"""How long the headers of a request may take, from their first byte."""

IDLE_SECONDS = 75.0
"""How long a connection stays open between requests: longer than nginx keeps it (a minute)."""

LINGERING_SECONDS = 2.0
"""How long the rest of a body is read and thrown away after the response."""


class DirectRoute(Protocol):
    """Answers requests by itself, most of them: what it hands over is served as any other."""

    def takes(self, message: RawRequestMessage) -> bool:
        """Whether it may answer a request with these headers."""
        ...

    def begin(self, connection: "Connection", message: RawRequestMessage, body: bytes) -> None:
        """Begin to serve a request; `respond` or `hand_over` of the connection ends it."""
        ...


DIRECT: web.AppKey[DirectRoute] = web.AppKey("direct")
"""An application's direct route."""


class Connection(RequestHandler):
    """A client's connection.

    `failure` is why a direct route has handed the current request over.
    """

    __slots__ = ("_direct", "_header_seconds", "_header_timer", "_served", "failure")

    def __init__(
        self,
        *args: Any,
        header_seconds: float = HEADER_SECONDS,
        direct: DirectRoute | None = None,
        **kwargs: Any,
    ) -> None:
        """Take what aiohttp's own takes, how long headers may take, and a direct route."""
        super().__init__(*args, **kwargs)
        self._header_seconds = header_seconds
        self._header_timer: asyncio.TimerHandle | None = None
        self._direct = direct
        self._served: tuple[RawRequestMessage, StreamReader] | None = None  # by the direct route
        self.failure: Exception | None = None

    def data_received(self, data: bytes) -> None:
        """Start the clock with the first byte of a request; its last header stops it.

        The task that serves requests is woken unless the direct route takes the request.
        """
        before = self._request_count
        waiter, self._waiter = self._waiter, None  # aiohttp wakes the one it finds
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if self._request_count != before:
            self._stop_timer()
            self._serve_next()
        elif self._header_timer is None and self._waits_for_request():
            self._header_timer = self._loop.call_later(self._header_seconds, self._give_up)

    def _serve_next(self) -> None:
        """Begin with the next request, unless one is being served or there is none."""
        if self._served is None and self._messages and self._is_idle() and not self._goes_direct():
            self._wake()

    def _is_idle(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _wake(self) -> None:
        """Wake the task that serves requests."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _goes_direct(self) -> bool:
        """Begin to serve a request by the direct route, if that takes it and it is here whole."""
        message, payload = self._messages[0]
        route = self._direct
        if (
            route is None
            or self._paused
            or self._buffer_paused  # by many requests at once: the task reads on as it serves them
            or not isinstance(message, RawRequestMessage)
            or not route.takes(message)
            or not has_arrived(payload)
        ):
            return False
        self._messages.popleft()
        self._served = (message, payload)
        self._request_in_progress = True  # a server that stops waits for it
        self._stay_open()
        try:
            route.begin(self, message, payload.read_nowait())
        except Exception as error:  # noqa: BLE001 - raised by the request's handler
            self.hand_over(error)
        return True

    def respond(self, response: bytes, *, is_last: bool) -> None:
        """Send the response of a direct route, then close or go on with the next request."""
        self._served = None
        self._end_request()
        if self._parser is not None:
            self._parser.message_consumed()
        if self.transport is None or self.transport.is_closing():
            return  # the client did not wait
        self.transport.write(response)
        if is_last or self._close:
            self.transport.close()
        else:
            self._stay_open()
            self._serve_next()

    def hand_over(self, error: Exception) -> None:
        """Have a request served as any other: its handler raises the error (`take_failure`)."""
        served, self._served = self._served, None
        if served and self._is_idle():
            self.failure = error
            self._messages.appendleft(served)
            self._wake()
            return
        self._end_request()
        if self.transport is not None:  # the server has stopped
            self.transport.close()

    def _end_request(self) -> None:
        self._request_in_progress = False
        if self._handler_waiter is not None and not self._handler_waiter.done():
            self._handler_waiter.set_result(None)

    def _stay_open(self) -> None:
        """Count idleness from now."""
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout

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


def take_failure(request: web.BaseRequest) -> Exception | None:
    """Return why a direct route has handed a request over; None if it has not."""
    connection = request.protocol
    if not isinstance(connection, Connection):
        return None
    failure, connection.failure = connection.failure, None
    return failure


class _Server(web.Server):
    """Makes our connections."""

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs an application with our connections; takes what `Connection` takes."""

    def __init__(self, app: web.Application, **kwargs: Any) -> None:
        """Take the application."""
        limits = {"keepalive_timeout": IDLE_SECONDS, "lingering_time": LINGERING_SECONDS}
        super().__init__(app, access_log=None, direct=app.get(DIRECT), **limits | kwargs)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **self._kwargs)
