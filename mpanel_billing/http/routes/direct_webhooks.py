"""Webhooks without a task: most are received by their connection itself.

A connection hands a webhook over as soon as it has arrived, and sends the response once the event
is committed. In between there is no task, no request and no response of aiohttp's. Responses,
metrics and log lines are those of `receive_webhook`, which serves what is refused, fails, or is
unusual. Why: docs/decisions/0039-webhooks-without-a-task.md.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_parser import RawRequestMessage
from multidict import CIMultiDictProxy

from mpanel_billing.http import keys
from mpanel_billing.http.client_address import UNKNOWN, find_client, says_https
from mpanel_billing.http.connections import Connection
from mpanel_billing.http.middleware import (
    REQUEST_ID_HEADER,
    access_logger,
    log_request,
    request_id_of,
)
from mpanel_billing.http.response_headers import HEADERS, HSTS, NO_STORE
from mpanel_billing.http.routes.webhooks import (
    count_event,
    log_event,
    observe_age,
    open_event,
    received,
)
from mpanel_billing.http.server import SHUTDOWN
from mpanel_billing.mirror.service import Outcome
from mpanel_billing.telemetry.counters import count_request
from mpanel_billing.telemetry.logs import REQUEST_ID
from mpanel_billing.webhooks.endpoint import PATH
from mpanel_billing.webhooks.event import Event

_UNUSUAL = (hdrs.EXPECT, hdrs.CONTENT_ENCODING)


class DirectWebhooks:
    """The direct route of an application; it responds to the webhooks of a batch together."""

    def __init__(self, app: web.Application) -> None:
        """Take the application, whose parts are there once it has started."""
        self._app = app
        self._written: list[tuple[_Delivery, Outcome]] = []

    def takes(self, message: RawRequestMessage) -> bool:
        """Whether this is a webhook as Stripe sends it, and the process is not stopping."""
        return (
            message.path == PATH
            and message.method == hdrs.METH_POST
            and message.version == HttpVersion11
            and not (message.should_close or message.upgrade or message.chunked)
            and not any(name in message.headers for name in _UNUSUAL)
            and not self._app[SHUTDOWN].is_set()
        )

    def begin(self, connection: Connection, message: RawRequestMessage, body: bytes) -> None:
        """Queue the event to be written; raises what `open_event` raises."""
        started = time.perf_counter()
        settings, secrets = self._app[keys.SETTINGS], self._app[keys.WEBHOOK_SECRETS]
        event = open_event(body, message.headers, secrets, livemode=settings.livemode)
        observe_age(event.created)
        delivery = _Delivery(self, connection, message.headers, event, started)
        self._app[keys.EVENTS].begin(event, delivery)

    def finish(self, delivery: "_Delivery", outcome: Outcome) -> None:
        """Answer in the next turn of the loop: first the next batch is sent to the database."""
        if not self._written:
            asyncio.get_running_loop().call_soon(self._answer)
        self._written.append((delivery, outcome))

    def _answer(self) -> None:
        written, self._written = self._written, []
        is_last = self._app[SHUTDOWN].is_set()
        for delivery, outcome in written:
            seconds = time.perf_counter() - delivery.started
            request_id = request_id_of(delivery.headers)
            response = self._response(delivery, outcome, request_id, is_last=is_last)
            delivery.connection.respond(response, is_last=is_last)
            count_event(delivery.event.type, outcome.status)
            count_request(hdrs.METH_POST, PATH, HTTPStatus.OK, seconds)
            if access_logger.isEnabledFor(logging.INFO):
                self._log(delivery, outcome, request_id, seconds)

    def _response(
        self, delivery: "_Delivery", outcome: Outcome, request_id: str, *, is_last: bool
    ) -> bytes:
        forwarded = delivery.headers.getall(hdrs.X_FORWARDED_PROTO, ())
        trusted = self._app[keys.SETTINGS].trusted_networks
        by_https = says_https(delivery.remote, forwarded, trusted)
        head = _head(outcome.status, by_https=by_https, is_last=is_last)
        varying = f"{REQUEST_ID_HEADER}: {request_id}\r\nDate: {rfc822_formatted_time()}\r\n\r\n"
        return head + varying.encode() + received(outcome.status)

    def _log(
        self, delivery: "_Delivery", outcome: Outcome, request_id: str, seconds: float
    ) -> None:
        forwarded = delivery.headers.getall(hdrs.X_FORWARDED_FOR, ())
        trusted = self._app[keys.SETTINGS].trusted_networks
        client = str(find_client(delivery.remote, forwarded, trusted) or UNKNOWN)
        token = REQUEST_ID.set(request_id)
        try:
            log_event(delivery.event, outcome)
            log_request(hdrs.METH_POST, PATH, HTTPStatus.OK, seconds, client=client)
        finally:
            REQUEST_ID.reset(token)


@dataclass(slots=True)
class _Delivery:
    """A webhook that waits for the outcome of its event, instead of a future."""

    route: DirectWebhooks
    connection: Connection
    headers: CIMultiDictProxy[str]
    event: Event
    started: float

    @property
    def remote(self) -> str | None:
        """The other end of the connection."""
        peer = self.connection.peername
        return str(peer[0]) if isinstance(peer, tuple) else peer

    def done(self) -> bool:
        """An event is written even if nobody reads the response any more."""
        return False

    def set_result(self, outcome: Outcome, /) -> None:
        """Answer."""
        self.route.finish(self, outcome)

    def set_exception(self, error: Exception, /) -> None:
        """Have the error handled as that of any request."""
        self.connection.hand_over(error)


@cache
def _head(status: str, *, by_https: bool, is_last: bool) -> bytes:
    """Return what responses of an outcome begin with, up to the headers that differ."""
    headers: dict[str, str] = {
        hdrs.CONTENT_TYPE: "application/json; charset=utf-8",
        hdrs.CONTENT_LENGTH: str(len(received(status))),
        **HEADERS,
        hdrs.CACHE_CONTROL: NO_STORE,
    }
    if by_https:
        headers[hdrs.STRICT_TRANSPORT_SECURITY] = HSTS
    if is_last:
        headers[hdrs.CONNECTION] = "close"
    lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
    return "".join(["HTTP/1.1 200 OK\r\n", *lines]).encode()
