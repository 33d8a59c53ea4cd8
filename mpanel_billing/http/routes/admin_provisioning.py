"""/api/admin/provisioning: what `mpanel-billing provision` does, over HTTP, behind a key."""

from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, StringConstraints

from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.access import require_scope
from mpanel_billing.http.answers.operators import (
    DoneAnswer,
    HoldPart,
    RetriedAnswer,
    ServicePart,
    StuckAnswer,
    StuckPart,
    TimelineAnswer,
    TimelinePart,
)
from mpanel_billing.http.json_answer import answer
from mpanel_billing.http.json_body import parse_body, read_json
from mpanel_billing.http.names import ProductType, SubscriptionName, read_name
from mpanel_billing.http.openapi.operation import Operation, Refusals, described
from mpanel_billing.provisioning import operations

routes = web.RouteTableDef()

_ONE: dict[str, Any] = {"id": SubscriptionName}
_DONE = {HTTPStatus.OK: DoneAnswer}
_UNKNOWN: Refusals = {NotFoundError: ()}
_UNKNOWN_OR_LATE: Refusals = {NotFoundError: (), ConflictError: ()}


class SuspendRequest(BaseModel):
    """Why all services of a subscription are suspended."""

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


@routes.get("/api/admin/provisioning")
@described(Operation("admin", {HTTPStatus.OK: StuckAnswer}, scope="admin:read"))
async def get_stuck(request: web.Request) -> web.Response:
    """Answer with what is stuck and why, and the suspensions by operators that stand."""
    await require_scope(request, "admin:read")
    pool = request.app[keys.POOL]
    stuck, holds = await operations.list_stuck(pool), await operations.list_holds(pool)
    return answer(
        StuckAnswer(
            stuck=tuple(StuckPart.of_row(row) for row in stuck),
            holds=tuple(HoldPart.of_row(row) for row in holds),
        )
    )


@routes.post("/api/admin/provisioning/retry")
@described(Operation("admin", {HTTPStatus.OK: RetriedAnswer}, scope="admin"))
async def post_retry_all(request: web.Request) -> web.Response:
    """Try everything again that is stuck; answers how many subscriptions."""
    by = await require_scope(request, "admin")
    return answer(RetriedAnswer(retried=await operations.retry_all(request.app[keys.POOL], by)))


@routes.get("/api/admin/subscriptions/{id}/timeline")
@described(
    Operation(
        "admin",
        {HTTPStatus.OK: TimelineAnswer},
        scope="admin:read",
        path=_ONE,
        refusals=_UNKNOWN,
    )
)
async def get_timeline(request: web.Request) -> web.Response:
    """Answer with all that is on record of a subscription, and its services as they are."""
    await require_scope(request, "admin:read")
    subscription_id = await _subscription(request)
    pool = request.app[keys.POOL]
    services = await operations.list_services(pool, subscription_id)
    timeline = await operations.list_timeline(pool, subscription_id)
    return answer(
        TimelineAnswer(
            subscription_id=subscription_id,
            services=tuple(ServicePart.of_row(row) for row in services),
            timeline=tuple(TimelinePart.of_row(row) for row in timeline),
        )
    )


@routes.post("/api/admin/subscriptions/{id}/retry")
@described(Operation("admin", _DONE, scope="admin", path=_ONE, refusals=_UNKNOWN_OR_LATE))
async def post_retry(request: web.Request) -> web.Response:
    """Try again at once, what was refused or skipped included."""
    by = await require_scope(request, "admin")
    subscription_id = await _subscription(request)
    await operations.retry(request.app[keys.POOL], subscription_id, by)
    return _done(subscription_id)


@routes.post("/api/admin/subscriptions/{id}/suspend")
@described(
    Operation(
        "admin", _DONE, scope="admin", path=_ONE, body=SuspendRequest, refusals=_UNKNOWN_OR_LATE
    )
)
async def post_suspend(request: web.Request) -> web.Response:
    """Suspend all services until it is lifted, with a reason; no payment lifts it."""
    by = await require_scope(request, "admin")
    subscription_id = await _subscription(request)
    wish = parse_body(SuspendRequest, await read_json(request))
    await operations.suspend(
        request.app[keys.POOL], subscription_id, reason=wish.reason, operator=by.name, by=by
    )
    return _done(subscription_id)


@routes.post("/api/admin/subscriptions/{id}/lift")
@described(Operation("admin", _DONE, scope="admin", path=_ONE, refusals=_UNKNOWN_OR_LATE))
async def post_lift(request: web.Request) -> web.Response:
    """Lift an operator's suspension."""
    by = await require_scope(request, "admin")
    subscription_id = await _subscription(request)
    await operations.lift(request.app[keys.POOL], subscription_id, operator=by.name, by=by)
    return _done(subscription_id)


@routes.post("/api/admin/subscriptions/{id}/services/{product_type}/skip")
@described(
    Operation(
        "admin",
        _DONE,
        scope="admin",
        path=_ONE | {"product_type": ProductType},
        refusals=_UNKNOWN,
    )
)
async def post_skip(request: web.Request) -> web.Response:
    """Do without one service until what is wished of it changes, or it is retried."""
    by = await require_scope(request, "admin")
    subscription_id = await _subscription(request)
    product_type = read_name(request, "product_type")
    await operations.skip(request.app[keys.POOL], subscription_id, product_type, by)
    return _done(subscription_id)


async def _subscription(request: web.Request) -> UUID:
    """Return the subscription that the address names, by our id or Stripe's."""
    return await operations.find_subscription(request.app[keys.POOL], read_name(request, "id"))


def _done(subscription_id: UUID) -> web.Response:
    return answer(DoneAnswer(subscription_id=subscription_id))
