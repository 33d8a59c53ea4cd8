"""The spans of a process, and how they are taken up from and handed on to others."""

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
"""For so long one delivery to the collector may take, the last one before the end too."""

_FIRST_ERROR = 400
_FIRST_OF_OURS = 500

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Spans:
    """Makes the spans of this process. None of them carries a value that a request brought."""

    def __init__(self, provider: TracerProvider) -> None:
        """Make them with a provider, for the jobs that PgQueuer runs too."""
        self._provider = provider
        self._tracer: Tracer = provider.get_tracer("mpanel_billing", __version__)
        TRACER.tracer = OpenTelemetryTracing(self._tracer)

    def close(self) -> None:
        """Deliver what is left."""
        TRACER.tracer = None
        self._provider.shutdown()

    @property
    def middleware(self) -> Any:
        """Return the middleware that makes the span of a request, in its caller's trace."""

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
                _tell_status(span, response.status, _FIRST_OF_OURS)
                return response

        return trace_request

    def watch_connection(self, connection: Any, names: Callable[[str], str]) -> None:
        """Make a span of every statement on a connection; `names` turns its text into a name."""

        def make_span(done: "asyncpg.connection.LoggedQuery") -> None:
            if not get_current_span().is_recording():
                return  # what nobody has asked for: polls, signs of life
            ended = time.time_ns()
            span = self._tracer.start_span(
                names(done.query),
                kind=SpanKind.CLIENT,
                start_time=ended - int(done.elapsed * 1e9),
                attributes={"db.system.name": "postgresql"},
            )
            if done.exception is not None:
                _tell_error(span, done.exception)
            span.end(ended)

        connection.add_query_logger(make_span)

    @contextmanager
    def calling_stripe(self, method: str, resource: str) -> Iterator[Callable[[int], None]]:
        """Make the span of a request to Stripe; call what it gives with the status."""
        with self._tracer.start_as_current_span(
            f"{method.upper()} {resource}",
            kind=SpanKind.CLIENT,
            attributes={"http.request.method": method.upper(), "server.address": "stripe"},
        ) as span:
            yield lambda status: _tell_status(span, status, _FIRST_ERROR)

    def client_traces(self) -> aiohttp.TraceConfig:
        """Return what makes the spans of an aiohttp client, and hands the trace on in headers."""
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
    """Deliver spans to an OTLP collector over HTTP; `OTEL_...` in the environment says the rest."""
    name = os.environ.get(OTEL_SERVICE_NAME) or f"mpanel-billing-{process}"
    resource = Resource.create({SERVICE_NAME: name, SERVICE_VERSION: __version__})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=_EXPORT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Spans(provider)


async def _end_call(
    _: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestEndParams
) -> None:
    _tell_status(context.span, params.response.status, _FIRST_ERROR)
    context.span.end()


async def _break_call(
    _: aiohttp.ClientSession, context: SimpleNamespace, params: aiohttp.TraceRequestExceptionParams
) -> None:
    _tell_error(context.span, params.exception)
    context.span.end()


def _tell_status(span: Span, status: int, first_error: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= first_error:
        span.set_status(StatusCode.ERROR)


def _tell_error(span: Span, error: BaseException) -> None:
    """Name the kind only: an error's text may quote what must not leave (rule 12)."""
    span.set_attribute("error.type", type(error).__name__)
    span.set_status(Status(StatusCode.ERROR))
