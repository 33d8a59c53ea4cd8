"""Around every route: the request id, the access log, CORS, and errors in one shape."""

import logging
import random
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import asyncpg
from aiohttp import hdrs, web

from mpanel_billing.errors import BillingError, DatabaseUnavailableError
from mpanel_billing.http import keys
from mpanel_billing.http.access import ACTOR
from mpanel_billing.http.client_address import address_name, client_name, find_client
from mpanel_billing.http.operation import ACCEPT_CURRENCY, operation_of
from mpanel_billing.http.response_headers import secure
from mpanel_billing.stripe_gateway.budget import StripeBudget
from mpanel_billing.telemetry.counters import count_request
from mpanel_billing.telemetry.logs import REQUEST_ID

logger = logging.getLogger(__name__)
access_logger = logging.getLogger("mpanel_billing.requests")

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

REQUEST_ID_HEADER = "X-Request-Id"
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}")

NO_ROUTE = "(none)"

STRIPE_SECONDS = 25.0
"""How long one request waits for Stripe, in all of its calls: clients wait about half a minute."""

WEBHOOK_PATH = "/api/webhooks/"
"""Only Stripe's servers call this, never a browser, so it has no CORS."""

CONSOLE_PATH = "/console"
"""What operators see is for pages of its own: a site that may call the API must not read it."""

_ALLOWED_METHODS = "GET, POST, OPTIONS"
_ALLOWED_HEADERS = f"Content-Type, Idempotency-Key, X-Request-Id, {ACCEPT_CURRENCY}"
_EXPOSED_HEADERS = "X-Request-Id, Retry-After"
_PREFLIGHT_SECONDS = "600"

_SENTENCES: Mapping[int, tuple[str, str]] = {
    HTTPStatus.BAD_REQUEST: ("malformed_request", "The request cannot be read."),
    HTTPStatus.NOT_FOUND: ("not_found", "Not found."),
    HTTPStatus.METHOD_NOT_ALLOWED: ("method_not_allowed", "Method not allowed."),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: ("body_too_large", "The request is too large."),
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: ("unsupported_media_type", "The request is not JSON."),
}
_BUSY = DatabaseUnavailableError(
    "The service is busy; please try again in a moment.", retry_after=1
)
_INTERNAL = "Something went wrong on our side; please try again in a moment."


@web.middleware
async def observe_requests(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, and log one line with its response.

    The id is the client's own (`X-Request-Id`) if that is valid.
    """
    request_id = request_id_of(request.headers)
    token = REQUEST_ID.set(request_id)
    started = time.perf_counter()
    try:
        with StripeBudget(STRIPE_SECONDS):
            response = await handler(request)
        response.headers[REQUEST_ID_HEADER] = request_id
        _record(request, response.status, time.perf_counter() - started)
    finally:
        REQUEST_ID.reset(token)
    return response


def request_id_of(headers: Mapping[str, str]) -> str:
    """Return the client's own id of a request if that is valid, else a new one."""
    given = headers.get(REQUEST_ID_HEADER)
    return given if given and _SANE_REQUEST_ID.fullmatch(given) else _make_request_id()


def _make_request_id() -> str:
    """Return an id; it is not a secret, so it does not need the system's entropy."""
    return f"{random.getrandbits(128):032x}"


def _record(request: web.Request, status: int, seconds: float) -> None:
    """Count and log by route, not path: some ids in paths grant access."""
    resource = request.match_info.route.resource
    route = resource.canonical if resource else NO_ROUTE
    count_request(request.method, route, status, seconds)
    if access_logger.isEnabledFor(logging.INFO):
        client = address_name(request)
        log_request(request.method, route, status, seconds, client=client, **_acting(request))


def log_request(method: str, route: str, status: int, seconds: float, **more: str) -> None:
    """Write the line of a request to the access log."""
    access_logger.info(
        "%s %s %d",
        method,
        route,
        status,
        extra={
            "method": method,
            "route": route,
            "status": status,
            "durationMs": round(seconds * 1000, 1),
            **more,
        },
    )


def _acting(request: web.Request) -> dict[str, str]:
    """Return the key's holder, and the person behind it."""
    actor = request.get(ACTOR)
    if actor is None:
        return {}
    return {"actor": actor.name, **({"person": actor.person} if actor.person else {})}


@web.middleware
async def allow_origins(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let browsers on the origins of APP_URL and CORS_ORIGIN read responses, including errors.

    Other origins get no CORS headers. Source: the Fetch standard, "CORS protocol".
    """
    if request.path.startswith((WEBHOOK_PATH, CONSOLE_PATH)):
        return await handler(request)
    origin = request.headers.get(hdrs.ORIGIN)
    allowed = origin in request.app[keys.SETTINGS].allowed_origins
    preflight = (
        request.method == hdrs.METH_OPTIONS
        and origin is not None
        and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
    )
    response = web.Response(status=HTTPStatus.NO_CONTENT) if preflight else await handler(request)
    response.headers.add(hdrs.VARY, "Origin")
    if allowed and origin:
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
        response.headers[hdrs.ACCESS_CONTROL_ALLOW_CREDENTIALS] = "true"
        response.headers.update(_PREFLIGHT_HEADERS if preflight else _RESPONSE_HEADERS)
    return response


_PREFLIGHT_HEADERS = {
    hdrs.ACCESS_CONTROL_ALLOW_METHODS: _ALLOWED_METHODS,
    hdrs.ACCESS_CONTROL_ALLOW_HEADERS: _ALLOWED_HEADERS,
    hdrs.ACCESS_CONTROL_MAX_AGE: _PREFLIGHT_SECONDS,
}
_RESPONSE_HEADERS = {hdrs.ACCESS_CONTROL_EXPOSE_HEADERS: _EXPOSED_HEADERS}


@web.middleware
async def respond_to_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn exceptions into the one error shape; details of unexpected ones only go to the log."""
    try:
        return await handler(request)
    except BillingError as error:
        return _error_of(error)
    except web.HTTPException as error:
        return error_of_aiohttp(error)
    except asyncpg.TransactionRollbackError as error:
        # a deadlock, for example with a migration: rolled back, and a retry works
        logger.warning("the database rolled a transaction back: %s", error)
        return _error_of(_BUSY)
    except Exception:
        logger.exception("a request failed unexpectedly")
        return internal_error_response()


def _error_of(error: BillingError) -> web.Response:
    hidden = error.status == HTTPStatus.INTERNAL_SERVER_ERROR
    if hidden:
        logger.error("%s: %s", error.code, error.message, exc_info=error)
    elif error.status > HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.warning("%s: %s", error.code, error.message)
    response = error_response(
        error.status, error.code, _INTERNAL if hidden else error.message, error.fields
    )
    if error.retry_after is not None:
        response.headers[hdrs.RETRY_AFTER] = str(error.retry_after)
    if error.challenge is not None:
        response.headers[hdrs.WWW_AUTHENTICATE] = error.challenge
    return response


def error_of_aiohttp(error: web.HTTPException) -> web.StreamResponse:
    """Return aiohttp's own errors in our shape, and its redirects as they are."""
    if error.status < HTTPStatus.BAD_REQUEST:
        return web.Response(status=error.status, headers=error.headers)
    code, sentence = _SENTENCES.get(error.status, ("http_error", error.reason))
    said = error.reason if error.reason != HTTPStatus(error.status).phrase else sentence
    response = error_response(error.status, code, said)
    if hdrs.ALLOW in error.headers:
        response.headers[hdrs.ALLOW] = error.headers[hdrs.ALLOW]
    return response


def error_response(
    status: int, code: str, sentence: str, fields: Mapping[str, str] | None = None
) -> web.Response:
    """Return an error: a sentence for people, a code for programs, field -> problem."""
    body: dict[str, object] = {"success": False, "error": sentence, "code": code}
    if fields:
        body["fields"] = dict(fields)
    body["requestId"] = REQUEST_ID.get()
    return web.json_response(body, status=status)


def internal_error_response() -> web.Response:
    """Return a 500."""
    return error_response(HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", _INTERNAL)


def malformed_response(request: web.BaseRequest) -> web.Response:
    """Return the 400 to what is not HTTP, and log it as a request; it quotes nothing of it."""
    token = REQUEST_ID.set(_make_request_id())
    try:
        response = error_response(HTTPStatus.BAD_REQUEST, *_SENTENCES[HTTPStatus.BAD_REQUEST])
        response.headers[REQUEST_ID_HEADER] = REQUEST_ID.get() or ""
        secure(response)
        _log_malformed(request)
    finally:
        REQUEST_ID.reset(token)
    return response


def _log_malformed(request: web.BaseRequest) -> None:
    """Log by the other end of the connection: no header is to be believed."""
    status = int(HTTPStatus.BAD_REQUEST)
    count_request("(malformed)", NO_ROUTE, status, 0.0)
    client = client_name(find_client(request.remote, (), ()))
    extra = {"method": "-", "route": NO_ROUTE, "status": status, "client": client}
    access_logger.info("%s %s %d", "-", NO_ROUTE, status, extra=extra)


MIDDLEWARES = (observe_requests, allow_origins, respond_to_errors)
"""Outermost first."""


class UndeclaredResponseError(Exception):
    """A route returned a status, or raised an error, that it does not declare."""


@web.middleware
async def refuse_undeclared(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Raise UndeclaredResponseError if a route breaks its declaration: for tests and `dev`."""
    operation = operation_of(request.match_info.handler)
    try:
        response = await handler(request)
    except BillingError as error:
        if operation and not operation.refuses_with(error):
            msg = f"{operation.id} does not declare {error.status} {error.code}"
            raise UndeclaredResponseError(msg) from error
        raise
    if operation and response.status not in operation.responses:
        msg = f"{operation.id} does not declare a response with status {response.status}"
        raise UndeclaredResponseError(msg)
    return response
