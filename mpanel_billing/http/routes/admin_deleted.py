"""/api/admin/deleted-subscriptions: `mpanel-billing deleted` over HTTP."""

from mpanel_billing.access.ceilings import RefundCeilingError
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.operation import Refusals
from mpanel_billing.http.paths import SubscriptionPath
from mpanel_billing.http.schemas.admin import (
    CancelDeletedRequest,
    DeletedSubscriptionSchema,
    DeletedSubscriptionsResponse,
    SettledResponse,
)
from mpanel_billing.http.schemas.base import PageOfIdsQuery
from mpanel_billing.reconciliation import deleted

routes = Endpoints("admin")

_DELETED = "/api/admin/deleted-subscriptions"

_REFUSALS: Refusals = {NotFoundError: (), ConflictError: ()}
_REFUND_REFUSALS: Refusals = {
    NotFoundError: (),
    ConflictError: ("conflict", "already_refunded", "nothing_to_refund"),
    RefundCeilingError: (),
}


@routes.endpoint("GET", _DELETED, scope="admin:read")
async def get_deleted(call: KeyedCall[None, PageOfIdsQuery]) -> DeletedSubscriptionsResponse:
    """Return a page of subscriptions whose rows were deleted here, and that wait for a decision."""
    rows = await deleted.list_deleted(call.app[keys.POOL], call.query.after, call.query.limit)
    return DeletedSubscriptionsResponse(
        subscriptions=tuple(DeletedSubscriptionSchema.of_row(row) for row in rows)
    )


@routes.endpoint(
    "POST",
    f"{_DELETED}/{{id}}/restore",
    scope="admin:operate",
    refusals=_REFUSALS,
    calls_stripe=True,
)
async def post_restore(call: KeyedCall[SubscriptionPath]) -> SettledResponse:
    """Bring a subscription back under its own id, and provision it again."""
    settled = await deleted.restore(call.app[keys.MIRROR], call.path.id, call.actor)
    return SettledResponse(subscription_id=settled.subscription_id, refunded=settled.refunded)


@routes.endpoint(
    "POST",
    f"{_DELETED}/{{id}}/cancel",
    scope="admin:money",
    refusals=_REFUND_REFUSALS,
    calls_stripe=True,
)
async def post_cancel(
    call: KeyedCall[SubscriptionPath, None, CancelDeletedRequest],
) -> SettledResponse:
    """Cancel a subscription at Stripe, with or without a refund of its latest paid invoice."""
    settled = await deleted.cancel(
        call.app[keys.MIRROR], call.path.id, call.actor, refund=call.body.refund
    )
    return SettledResponse(subscription_id=settled.subscription_id, refunded=settled.refunded)
