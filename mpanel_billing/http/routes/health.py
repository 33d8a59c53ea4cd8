"""What monitoring asks: does the process answer, is it of use, does work pile up."""

from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from aiohttp import web

from mpanel_billing import __version__
from mpanel_billing.database import migrations
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.errors import DatabaseUnavailableError
from mpanel_billing.http import keys

routes = web.RouteTableDef()

LATE_SECONDS = 300
"""From this age on, an event or an order that should have been dealt with is a trouble."""

_queries = load_queries("health")
_NO_STORE = {"Cache-Control": "no-store"}


@routes.get("/api/health/live")
async def get_live(_: web.Request) -> web.Response:
    """Answer: the process is there."""
    return web.json_response({"status": "ok"}, headers=_NO_STORE)


@routes.get("/api/health/ready")
async def get_ready(request: web.Request) -> web.Response:
    """Answer 200 when the database answers and its schema is ours, else 503 with the reason."""
    reason = await _reason_not_ready(request)
    if reason is None:
        return web.json_response({"status": "ok"}, headers=_NO_STORE)
    body = {"status": "unavailable", "reason": reason}
    return web.json_response(body, status=HTTPStatus.SERVICE_UNAVAILABLE, headers=_NO_STORE)


@routes.get("/api/health")
async def get_health(request: web.Request) -> web.Response:
    """Answer for people and alerts: `ok`, `degraded` when work is late, else 503."""
    reason = await _reason_not_ready(request)
    body: dict[str, Any] = {
        "status": "ok",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "version": __version__,
    }
    if reason is not None:
        body |= {"status": "unavailable", "reason": reason}
        return web.json_response(body, status=HTTPStatus.SERVICE_UNAVAILABLE, headers=_NO_STORE)
    async with acquired(request.app[keys.POOL]) as conn:
        ages = await _ages(conn)
    if any(age is not None and age > LATE_SECONDS for age in ages.values()):
        body["status"] = "degraded"
    return web.json_response(body | ages, headers=_NO_STORE)


async def _reason_not_ready(request: web.Request) -> str | None:
    try:
        async with acquired(request.app[keys.POOL]) as conn:
            version = await migrations.schema_version(conn)
    except DatabaseUnavailableError:
        return "the database does not answer"
    expected = migrations.expected_version()
    if version is None or version < expected:
        return f"the schema is at {version or 'nothing'}, not at {expected}: migrate"
    return None


async def _ages(conn: Connection) -> dict[str, int | None]:
    """Return seconds by name, null where nothing waits."""
    row = await _queries.get_health.fetch_one(conn)
    return {
        "oldestUnappliedEventSeconds": row["oldest_unapplied_event_seconds"] if row else None,
        "oldestUnprovisionedOrderSeconds": (
            row["oldest_unprovisioned_order_seconds"] if row else None
        ),
    }
