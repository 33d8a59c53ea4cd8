"""/api/billing/usage: what subscriptions have used."""

from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.paths import IdPath
from mpanel_billing.http.schemas.base import OwnerQuery
from mpanel_billing.http.schemas.usage import (
    CurrentUsageResponse,
    CurrentUsageSchema,
    LiftedLimitResponse,
    LiftLimitRequest,
    UsageRequest,
    UsageResponse,
)
from mpanel_billing.subscriptions.lookup import get_subscription
from mpanel_billing.usage.current import read_current
from mpanel_billing.usage.limits import lift_limits
from mpanel_billing.usage.records import take_records

routes = Endpoints("billing")

MAX_BODY_BYTES = 512 * 1024
"""A thousand records, each with an id as long as it may be."""


@routes.endpoint(
    "POST",
    "/api/billing/usage",
    scope="billing:usage",
    most_bytes=MAX_BODY_BYTES,
    refusals={NotFoundError: ("unknown_customer",)},
)
async def post_usage(call: KeyedCall[None, None, UsageRequest]) -> UsageResponse:
    """Report usage, each record once: what is reported again is not counted again."""
    mirror, body = call.app[keys.MIRROR], call.body
    records = [record.to_record() for record in body.records]
    found = await take_records(mirror.pool, records, body.named, livemode=mirror.livemode)
    return UsageResponse.of(body.records, found)


@routes.endpoint(
    "GET",
    "/api/billing/subscriptions/{id}/usage",
    scope="billing:read",
    refusals={NotFoundError: ("unknown_customer", "unknown_subscription")},
)
async def get_usage(call: KeyedCall[IdPath, OwnerQuery]) -> CurrentUsageResponse:
    """Return what a subscription has used in its present term, and what that will cost."""
    mirror = call.app[keys.MIRROR]
    held = await get_subscription(mirror, call.path.id, call.query.named)
    found = await read_current(mirror.pool, held.id)
    return CurrentUsageResponse(usage=tuple(map(CurrentUsageSchema.of, found)))


@routes.endpoint(
    "POST",
    "/api/billing/subscriptions/{id}/lift-usage-limit",
    scope="billing:refund",
    refusals={
        NotFoundError: ("unknown_customer", "unknown_subscription"),
        ConflictError: ("no_limit_reached",),
    },
)
async def post_lift(call: KeyedCall[IdPath, None, LiftLimitRequest]) -> LiftedLimitResponse:
    """Let a subscription go on for the rest of its term, although its usage has reached a limit."""
    mirror, body = call.app[keys.MIRROR], call.body
    held = await get_subscription(mirror, call.path.id, body.named)
    meters = await lift_limits(mirror.pool, held.id, body.reason, call.actor)
    return LiftedLimitResponse(meters=tuple(meters))
