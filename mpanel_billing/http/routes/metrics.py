"""GET /metrics, for Prometheus. The README's nginx does not pass it on."""

from http import HTTPStatus

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from mpanel_billing.http import keys
from mpanel_billing.http.openapi.operation import Content, Operation, described
from mpanel_billing.telemetry.exposition import render_metrics

routes = web.RouteTableDef()


@routes.get("/metrics")
@described(
    Operation("monitoring", {HTTPStatus.OK: Content("text/plain", "Prometheus' text format.")})
)
async def get_metrics(request: web.Request) -> web.Response:
    """Answer with what the processes have counted and what the database tells, 200 without it."""
    body = await render_metrics(request.app[keys.FIGURES])
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
