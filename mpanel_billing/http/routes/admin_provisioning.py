"""/api/admin/provisioning: what `mpanel-billing provision` does, over HTTP, behind a key."""

from typing import Annotated
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, StringConstraints

from mpanel_billing.http import keys
from mpanel_billing.http.access import require_admin_key
from mpanel_billing.http.json_body import parse_body, read_json
from mpanel_billing.http.plain import plain_row
from mpanel_billing.provisioning import operations

routes = web.RouteTableDef()

OPERATOR = "api"
"""Who is on record for what is done here: keys have no names yet."""


class SuspendRequest(BaseModel):
    """Why all services of a subscription are suspended."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


@routes.get("/api/admin/provisioning")
async def get_stuck(request: web.Request) -> web.Response:
    """Answer with what is stuck and why, and the suspensions by operators that stand."""
    require_admin_key(request)
    pool = request.app[keys.POOL]
    stuck, holds = await operations.list_stuck(pool), await operations.list_holds(pool)
    return web.json_response(
        {
            "success": True,
            "stuck": [plain_row(dict(row)) for row in stuck],
            "holds": [plain_row(dict(row)) for row in holds],
        }
    )


@routes.post("/api/admin/provisioning/retry")
async def post_retry_all(request: web.Request) -> web.Response:
    """Try everything again that is stuck; answers how many subscriptions."""
    require_admin_key(request)
    count = await operations.retry_all(request.app[keys.POOL])
    return web.json_response({"success": True, "retried": count})


@routes.get("/api/admin/subscriptions/{id}/timeline")
async def get_timeline(request: web.Request) -> web.Response:
    """Answer with all that is on record of a subscription, and its services as they are."""
    subscription_id = await _subscription(request)
    pool = request.app[keys.POOL]
    services = await operations.list_services(pool, subscription_id)
    timeline = await operations.list_timeline(pool, subscription_id)
    return web.json_response(
        {
            "success": True,
            "subscriptionId": str(subscription_id),
            "services": [plain_row(dict(row)) for row in services],
            "timeline": [plain_row(dict(row)) for row in timeline],
        }
    )


@routes.post("/api/admin/subscriptions/{id}/retry")
async def post_retry(request: web.Request) -> web.Response:
    """Try again at once, what was refused or skipped included."""
    subscription_id = await _subscription(request)
    await operations.retry(request.app[keys.POOL], subscription_id)
    return _done(subscription_id)


@routes.post("/api/admin/subscriptions/{id}/suspend")
async def post_suspend(request: web.Request) -> web.Response:
    """Suspend all services until it is lifted, with a reason; no payment lifts it."""
    subscription_id = await _subscription(request)
    wish = parse_body(SuspendRequest, await read_json(request))
    await operations.suspend(
        request.app[keys.POOL], subscription_id, reason=wish.reason, operator=OPERATOR
    )
    return _done(subscription_id)


@routes.post("/api/admin/subscriptions/{id}/lift")
async def post_lift(request: web.Request) -> web.Response:
    """Lift an operator's suspension."""
    subscription_id = await _subscription(request)
    await operations.lift(request.app[keys.POOL], subscription_id, operator=OPERATOR)
    return _done(subscription_id)


@routes.post("/api/admin/subscriptions/{id}/services/{product_type}/skip")
async def post_skip(request: web.Request) -> web.Response:
    """Do without one service until what is wished of it changes, or it is retried."""
    subscription_id = await _subscription(request)
    await operations.skip(
        request.app[keys.POOL], subscription_id, request.match_info["product_type"]
    )
    return _done(subscription_id)


async def _subscription(request: web.Request) -> UUID:
    """Return the subscription that the address names, by our id or Stripe's, to who has a key."""
    require_admin_key(request)
    return await operations.find_subscription(request.app[keys.POOL], request.match_info["id"])


def _done(subscription_id: UUID) -> web.Response:
    return web.json_response({"success": True, "subscriptionId": str(subscription_id)})
