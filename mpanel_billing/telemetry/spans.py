"""The spans of a process, and the trace context it receives and passes on."""

import os
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import aiohttp
import asyncpg
from aiohttp import web
from opentelemetry import propagate
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.environment_variables import OTEL_SERVICE_NAME
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Span,
    SpanKind,
    Status,
    StatusCode,
    Tracer,
    get_current_span,
    set_span_in_context,
)
from pgqueuer.adapters.tracing.opentelemetry import OpenTelemetryTracing
from pgqueuer.ports.tracing import TRACER

from mpanel_billing import __version__

_EXPORT_SECONDS = 3.0
"""Timeout of one export to the collector, including the last one at shutdown."""

_CLIENT_ERRORS = 400
_SERVER_ERRORS = 500

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Spans:
    """Creates the spans of this process. No span carries a value from a request (rule 12)."""

    def __init__(self, provider: TracerProvider) -> None:
        """Use a provider, also for the jobs that PgQueuer runs."""
        self._provider = provider
        self._tracer: Tracer = provider.get_tracer("mpanel_billing", __version__)
        TRACER.tracer = OpenTelemetryTracing(self._tracer)

    def close(self) -> None:
        """Export the remaining spans."""
        TRACER.tracer = None
        self._provider.shutdown()

    @property
    def middleware(self) -> Any:
        """Return the middleware that creates a span for each request, in the caller's trace."""

        @web.middleware
        async def trace_request(request: web.Request, handler: Handler) -> web.StreamResponse:
            resource = request.match_info.route.resource
            route = resource.canonical if resource else "(none)"
            with self._tracer.start_as_current_span(
                f"{request.method} {route}",
                context=propagate.extract(request.headers),
                kind=SpanKind.SERVER,
                attributes={"http.request.method": request.method, "http.route": route},
            ) as span:
                response = await handler(request)
                _set_status(span, response.status, _SERVER_ERRORS)
                return response

        return trace_request

    def job_headers(self) -> dict[str, Any]:
        """Return the headers of a job that the database enqueues, as PgQueuer reads them."""
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return {"otel": carrier}

    def watch_connection(self, connection: Any, names: Callable[[str], str]) -> None:
        """Create a span for every statement on a connection; `names` maps its text to a name."""

        def add_span(done: "asyncpg.connection.LoggedQuery") -> None:
            if not get_current_span().is_recording():
                return  # not part of a request or job: polls, keep-alives
            ended = time.time_ns()
            span = self._tracer.start_span(
                names(done.query),
                kind=SpanKind.CLIENT,
                start_time=ended - int(done.elapsed * 1e9),
                attributes={"db.system.name": "postgresql"},
            )
            if done.exception is not None:
                _set_error(span, done.exception)
            span.end(ended)

        connection.add_query_logger(add_span)

    @contextmanager
    def calling_stripe(self, method: str, resource: str) -> Iterator[Callable[[int], None]]:
        """Create the span of a request to Stripe; yields a function that sets the status."""
        with self._tracer.start_as_current_span(
            f"{method.upper()} {resource}",
            kind=SpanKind.CLIENT,
            attributes={"http.request.method": method.upper(), "server.address": "stripe"},
        ) as span:
            yield lambda status: _set_status(span, status, _CLIENT_ERRORS)

    def client_traces(self) -> aiohttp.TraceConfig:
        """Return the trace config of an aiohttp client: a span and a traceparent for each call."""
        config = aiohttp.TraceConfig()
        config.on_request_start.append(self._begin_call)
        config.on_request_end.append(_end_call)
        config.on_request_exception.append(_break_call)
        return config

    async def _begin_call(
        self,
        _: aiohttp.ClientSession,
        context: SimpleNamespace,
        params: aiohttp.TraceRequestStartParams,
    ) -> None:
        attributes: dict[str, str | int] = {
            "http.request.method": params.method,
            "server.address": params.url.host or "",
            "server.port": params.url.port or 0,
        }
        context.span = self._tracer.start_span(
            f"{params.method} {params.url.host}", kind=SpanKind.CLIENT, attributes=attributes
        )
        propagate.inject(params.headers, set_span_in_context(context.span))


def open_spans(endpoint: str, process: str) -> Spans:
    """Export spans to an OTLP collector over HTTP; further `OTEL_...` variables apply too."""
    name = os.environ.get(OTEL_SERVICE_NAME) or f"mpanel-billing-{process}"
    resource = Resource.create({SERVICE_NAME: name, SERVICE_VERSION: __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Spans(provider)


async def _end_call(
    _: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestEndParams
) -> None:
    _set_status(context.span, params.response.status, _CLIENT_ERRORS)
    context.span.end()


async def _break_call(
    _: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestExceptionParams
) -> None:
    _set_error(context.span, params.exception)
    context.span.end()


def _set_status(span: Span, status: int, first_error: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= first_error:
        span.set_status(StatusCode.ERROR)


def _set_error(span: Span, error: BaseException) -> None:
    """Record the error's type only: its text may hold secrets (rule 12)."""
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR))
