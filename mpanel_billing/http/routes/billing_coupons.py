"""/api/billing: coupons of subscriptions that run, and the coupons that customers have had."""

from mpanel_billing.errors import ConflictError, NotFoundError, SubscriptionScheduledError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.operation import Refusals
from mpanel_billing.http.paths import IdPath
from mpanel_billing.http.schemas.base import OwnerQuery, OwnerRequest
from mpanel_billing.http.schemas.coupons import (
    ApplyCouponRequest,
    CouponPreviewResponse,
    CouponPreviewSchema,
    PreviewCouponRequest,
    PreviewRemovalRequest,
    RedemptionsResponse,
    RemovalPreviewResponse,
    RemoveCouponRequest,
)
from mpanel_billing.http.schemas.subscriptions import SubscriptionChangeResponse
from mpanel_billing.subscriptions import coupons
from mpanel_billing.subscriptions.lifecycle import ChangeRequest

routes = Endpoints("billing")

_ONE = "/api/billing/subscriptions/{id}"
_UNKNOWN: Refusals = {NotFoundError: ("unknown_customer", "unknown_subscription")}
_NOT_NOW = ("change_planned", "not_paid", "subscription_ended")
_NOT_REMOVED = ("coupon_not_applied", "coupon_of_item")
_AT_ONCE = ("change_in_progress", "idempotency_key_reused")


@routes.endpoint(
    "POST",
    f"{_ONE}/preview-apply-coupon",
    scope="billing:read",
    calls_stripe=True,
    refusals={**_UNKNOWN, ConflictError: _NOT_NOW},
)
async def post_preview_apply(
    call: KeyedCall[IdPath, None, PreviewCouponRequest],
) -> CouponPreviewResponse:
    """Return what a code would take off the next invoice, or that it is not valid, not why."""
    found = await coupons.preview_coupon(
        call.app[keys.MIRROR],
        _request(call),
        call.body.coupon_code,
        promotion_codes=call.app[keys.CHECKOUT].promotion_codes,
    )
    return CouponPreviewResponse.of(found)


@routes.endpoint(
    "POST",
    f"{_ONE}/apply-coupon",
    scope="billing:change",
    idempotent=True,
    calls_stripe=True,
    refusals={
        **_UNKNOWN,
        SubscriptionScheduledError: (),
        ConflictError: (*_NOT_NOW, *_AT_ONCE, "coupon_applied", "coupon_not_valid"),
    },
)
async def post_apply(
    call: KeyedCall[IdPath, None, ApplyCouponRequest],
) -> SubscriptionChangeResponse:
    """Give a subscription the discount of a code; honours `Idempotency-Key`."""
    changed = await coupons.apply_coupon(
        call.app[keys.MIRROR],
        _request(call),
        call.body.coupon_code,
        reason=call.body.reason,
        promotion_codes=call.app[keys.CHECKOUT].promotion_codes,
    )
    return SubscriptionChangeResponse.of(changed)


@routes.endpoint(
    "POST",
    f"{_ONE}/preview-remove-coupon",
    scope="billing:read",
    calls_stripe=True,
    refusals={**_UNKNOWN, ConflictError: (*_NOT_NOW, *_NOT_REMOVED)},
)
async def post_preview_removal(
    call: KeyedCall[IdPath, None, PreviewRemovalRequest],
) -> RemovalPreviewResponse:
    """Return what the next invoice would come to without a discount; changes nothing."""
    mirror = call.app[keys.MIRROR]
    found = await coupons.preview_removal(mirror, _request(call), call.body.coupon)
    return RemovalPreviewResponse(preview=CouponPreviewSchema.of(found))


@routes.endpoint(
    "POST",
    f"{_ONE}/remove-coupon",
    scope="billing:change",
    idempotent=True,
    calls_stripe=True,
    refusals={
        **_UNKNOWN,
        SubscriptionScheduledError: (),
        ConflictError: (*_NOT_NOW, *_AT_ONCE, *_NOT_REMOVED),
    },
)
async def post_remove(
    call: KeyedCall[IdPath, None, RemoveCouponRequest],
) -> SubscriptionChangeResponse:
    """Take a coupon's discount off a subscription; honours `Idempotency-Key`."""
    changed = await coupons.remove_coupon(
        call.app[keys.MIRROR], _request(call), call.body.coupon, reason=call.body.reason
    )
    return SubscriptionChangeResponse.of(changed)


@routes.endpoint(
    "GET",
    "/api/billing/customers/{id}/redemptions",
    scope="billing:read",
    refusals={NotFoundError: ("unknown_customer",)},
)
async def get_redemptions(call: KeyedCall[IdPath, OwnerQuery]) -> RedemptionsResponse:
    """Return the coupons that a customer has had, the latest first."""
    mirror = call.app[keys.MIRROR]
    rows = await coupons.list_redemptions_of(mirror, call.path.id, call.query.named)
    return RedemptionsResponse.of(rows)


def _request(call: KeyedCall[IdPath, None, OwnerRequest]) -> ChangeRequest:
    return ChangeRequest(call.actor, call.path.id, call.body.named, call.idempotency_key)
