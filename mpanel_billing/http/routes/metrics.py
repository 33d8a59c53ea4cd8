"""GET /metrics, for Prometheus. It lies outside /api/, which is all that nginx passes on."""

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

routes = web.RouteTableDef()


@routes.get("/metrics")
async def get_metrics(_: web.Request) -> web.Response:
    """Answer with this process's counters in Prometheus' text format."""
    return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
