"""For monitoring: liveness, readiness, health and metrics."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from mpanel_billing import __version__
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints
from mpanel_billing.http.operation import Content
from mpanel_billing.http.schemas.monitoring import (
    HealthResponse,
    UnavailableResponse,
    UnreadyResponse,
    UpResponse,
)
from mpanel_billing.telemetry.exposition import render_metrics
from mpanel_billing.telemetry.figures import Troubles, find_troubles
from mpanel_billing.telemetry.readiness import reason_not_ready

routes = Endpoints("monitoring")

_NO_STORE = {"Cache-Control": "no-store"}


@routes.raw("GET", "/api/health/live", {HTTPStatus.OK: UpResponse})
async def get_live(_: web.Request) -> web.Response:
    """Return 200 while the process is up."""
    return web.json_response({"status": "ok"}, headers=_NO_STORE)


@routes.raw(
    "GET",
    "/api/health/ready",
    {HTTPStatus.OK: UpResponse, HTTPStatus.SERVICE_UNAVAILABLE: UnreadyResponse},
)
async def get_ready(request: web.Request) -> web.Response:
    """Return 200 if the database is reachable, migrated and writable, else 503 with the reason.

    With READY_FOR=reads, it need not be writable.
    """
    reason = await _reason_not_ready(request)
    if reason is None:
        return web.json_response({"status": "ok"}, headers=_NO_STORE)
    return _unavailable({}, reason)


@routes.raw(
    "GET",
    "/api/health",
    {HTTPStatus.OK: HealthResponse, HTTPStatus.SERVICE_UNAVAILABLE: UnavailableResponse},
)
async def get_health(request: web.Request) -> web.Response:
    """Return the state of the service: `ok`, `degraded` if work is late, else 503.

    `reasons` says in sentences what is late, or is sold and made by no service. They apply to all
    instances alike, so they do not justify taking one out of rotation.
    """
    about = {"timestamp": _now(), "version": __version__}
    reason = await _reason_not_ready(request)
    if reason is not None:
        return _unavailable(about, reason)
    troubles = find_troubles(await request.app[keys.FIGURES].read())
    status = "degraded" if troubles.reasons else "ok"
    body = {"status": status, **about, "reasons": troubles.reasons, **_ages(troubles)}
    return web.json_response(body, headers=_NO_STORE)


@routes.raw(
    "GET",
    "/metrics",
    {HTTPStatus.OK: Content("text/plain", "Metrics in Prometheus' text format.")},
    operation_id="metrics_get_metrics",
)
async def get_metrics(request: web.Request) -> web.Response:
    """Return the counters of all processes and the figures of the database, if it is up."""
    body = await render_metrics(request.app[keys.FIGURES])
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


async def _reason_not_ready(request: web.Request) -> str | None:
    for_writes = request.app[keys.SETTINGS].ready_for == "writes"
    return await reason_not_ready(request.app[keys.POOL], for_writes=for_writes)


def _unavailable(about: dict[str, Any], reason: str) -> web.Response:
    body = {"status": "unavailable", **about, "reason": reason}
    return web.json_response(body, status=HTTPStatus.SERVICE_UNAVAILABLE, headers=_NO_STORE)


def _ages(troubles: Troubles) -> dict[str, int | None]:
    """Return ages in seconds by name, None where nothing is waiting."""
    return {
        "oldestUnappliedEventSeconds": troubles.event_seconds,
        "oldestUnprovisionedOrderSeconds": troubles.order_seconds,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
