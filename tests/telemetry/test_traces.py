"""One purchase as OpenTelemetry's collector sees it; and nothing at all without the setting."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from mpanel_billing.cli import WRONG_SETTINGS
from tests.processes import service_environment
from tests.telemetry.monitored_service import MonitoredService

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLER = f"00-{TRACE}-00f067aa0ba902b7-01"
SECRET = "secret-of-the-tests"


@dataclass
class Collector:
    """Takes spans as an OpenTelemetry collector does, and orders as a service with accounts."""

    url: str = ""
    spans: list[tuple[str, Span]] = field(default_factory=list)
    ordered_under: list[str] = field(default_factory=list)

    async def receive_spans(self, request: web.Request) -> web.Response:
        told = ExportTraceServiceRequest.FromString(await request.read())
        for resource in told.resource_spans:
            names = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans.extend((names["service.name"], span) for span in scope.spans)
        return web.Response(
            body=ExportTraceServiceResponse().SerializeToString(),
            content_type="application/x-protobuf",
        )

    async def receive_order(self, request: web.Request) -> web.Response:
        self.ordered_under.append(request.headers.get("traceparent", ""))
        content = await request.json()
        return web.json_response({"externalRef": f"acc-{content['productType']}"})

    def names(self, service: str, trace: str | None = None) -> set[str]:
        """Return the names of a process's spans, of one trace or of all."""
        return {
            span.name
            for told_by, span in self.spans
            if told_by == service and trace in {None, span.trace_id.hex()}
        }


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    collector = Collector()
    app = web.Application()
    app.router.add_post("/v1/traces", collector.receive_spans)
    app.router.add_post("/orders", collector.receive_order)
    async with TestServer(app) as server:
        collector.url = str(server.make_url("")).rstrip("/")
        yield collector


async def test_a_purchase_can_be_followed_from_the_request_to_the_account(
    monitored: MonitoredService, collector: Collector, offers: None, order_a: dict[str, Any]
) -> None:
    service = f'{{"url": "{collector.url}", "token": "t", "secret": "{SECRET}"}}'
    monitored.environment |= {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "PROVISIONING_SERVICES": f'{{"hosting": {service}}}',
    }
    api, port = await monitored.start_api()
    worker = await monitored.start_worker()
    await monitored.buy(port, order_a, traceparent=CALLER)
    assert await api.stop() == 0
    assert await worker.stop() == 0  # the last spans are delivered at the end

    ordering = collector.names("mpanel-billing-web", TRACE)
    assert {"POST /api/checkout/create-session", "POST customers", "COMMIT"} <= ordering
    assert {"POST checkout/sessions", "checkout.insert_order"} & ordering
    [order_call] = {traceparent.split("-")[1] for traceparent in collector.ordered_under}
    # the request that first reported the payment: an event's, or the success page's
    assert {"POST /api/webhooks/stripe", "GET /api/checkout/session/{session_id}"} & (
        collector.names("mpanel-billing-web", order_call)
    )
    assert {"process provision", "POST 127.0.0.1", "provisioning.get_work"} <= collector.names(
        "mpanel-billing-worker", order_call
    )
    assert all(SECRET not in str(span) and "ada@" not in str(span) for _, span in collector.spans)


async def test_an_unreachable_collector_blocks_nothing(
    monitored: MonitoredService, offers: None, order_a: dict[str, Any]
) -> None:
    monitored.environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:1"
    api, port = await monitored.start_api()
    await monitored.start_worker()
    await monitored.buy(port, order_a)
    assert await api.stop() == 0


LOAD_ALL = """
import asyncio, sys
from mpanel_billing.cli import WRONG_SETTINGS
from mpanel_billing.cli import serve, worker
from mpanel_billing.http.app import create_app
from mpanel_billing.worker.process import work
from mpanel_billing.settings import load_settings
async def run():
    stop = asyncio.Event()
    stop.set()
    await work(load_settings(), stop)
create_app(load_settings())
asyncio.run(run())
sys.exit(any(name.startswith("opentelemetry") for name in sys.modules))
"""

WITHOUT_THE_EXTRA = """
import sys
sys.modules["opentelemetry"] = None
from mpanel_billing.cli import main
sys.argv = ["mpanel-billing", "serve"]
main()
"""


async def run_python(code: str, environment: dict[str, str]) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, error = await process.communicate()
    return process.returncode, error.decode()


async def test_without_traces_opentelemetry_is_not_loaded(database_url: str) -> None:
    environment = service_environment(database_url, "http://127.0.0.1:1")
    code, error = await run_python(LOAD_ALL, environment)
    assert code == 0, error


async def test_traces_without_the_extra_end_in_a_clear_line(database_url: str) -> None:
    environment = service_environment(database_url, "http://127.0.0.1:1") | {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"
    }
    code, error = await run_python(WITHOUT_THE_EXTRA, environment)
    assert code == WRONG_SETTINGS
    assert error.startswith("mpanel-billing: OTEL_EXPORTER_OTLP_ENDPOINT: traces need")
    assert "pip install 'mpanel-billing[tracing]'" in error
    assert "Traceback" not in error
