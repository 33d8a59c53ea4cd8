"""What monitoring asks: does the process answer, is it of use, does work pile up."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from aiohttp import web

from mpanel_billing import __version__
from mpanel_billing.http import keys
from mpanel_billing.http.answers.services import (
    HealthAnswer,
    UnreadyAnswer,
    UnwellAnswer,
    UpAnswer,
)
from mpanel_billing.http.openapi.operation import Operation, described
from mpanel_billing.telemetry.figures import Troubles, find_troubles
from mpanel_billing.telemetry.readiness import reason_not_ready

routes = web.RouteTableDef()

_NO_STORE = {"Cache-Control": "no-store"}


@routes.get("/api/health/live")
@described(Operation("monitoring", {HTTPStatus.OK: UpAnswer}))
async def get_live(_: web.Request) -> web.Response:
    """Answer: the process is there."""
    return web.json_response({"status": "ok"}, headers=_NO_STORE)


@routes.get("/api/health/ready")
@described(
    Operation(
        "monitoring",
        {HTTPStatus.OK: UpAnswer, HTTPStatus.SERVICE_UNAVAILABLE: UnreadyAnswer},
    )
)
async def get_ready(request: web.Request) -> web.Response:
    """Answer 200 when the database answers and its schema is ours, else 503 with the reason."""
    reason = await reason_not_ready(request.app[keys.POOL])
    if reason is None:
        return web.json_response({"status": "ok"}, headers=_NO_STORE)
    return _unavailable({}, reason)


@routes.get("/api/health")
@described(
    Operation(
        "monitoring",
        {HTTPStatus.OK: HealthAnswer, HTTPStatus.SERVICE_UNAVAILABLE: UnwellAnswer},
    )
)
async def get_health(request: web.Request) -> web.Response:
    """Answer for people and alerts: `ok`, `degraded` when work is late, else 503.

    `reasons` says in sentences what is late: it is true of all instances alike, and no reason to
    take one of them out of rotation.
    """
    about = {"timestamp": _now(), "version": __version__}
    reason = await reason_not_ready(request.app[keys.POOL])
    if reason is not None:
        return _unavailable(about, reason)
    troubles = find_troubles(await request.app[keys.FIGURES].read())
    status = "degraded" if troubles.reasons else "ok"
    body = {"status": status, **about, "reasons": troubles.reasons, **_ages(troubles)}
    return web.json_response(body, headers=_NO_STORE)


def _unavailable(about: dict[str, Any], reason: str) -> web.Response:
    body = {"status": "unavailable", **about, "reason": reason}
    return web.json_response(body, status=HTTPStatus.SERVICE_UNAVAILABLE, headers=_NO_STORE)


def _ages(troubles: Troubles) -> dict[str, int | None]:
    """Return seconds by name, null where nothing waits."""
    return {
        "oldestUnappliedEventSeconds": troubles.event_seconds,
        "oldestUnprovisionedOrderSeconds": troubles.order_seconds,
    }


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
