"""/api/billing/subscriptions: how trials end, and subscriptions whose unused time is given back."""

from mpanel_billing.access.ceilings import RefundCeilingError
from mpanel_billing.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PaymentFailedError,
    SubscriptionScheduledError,
)
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.operation import Refusals
from mpanel_billing.http.paths import IdPath
from mpanel_billing.http.schemas.base import OwnerQuery, OwnerRequest
from mpanel_billing.http.schemas.endings import (
    EndPreviewResponse,
    EndRequest,
    PreviewEndRequest,
    PreviewTrialRequest,
    RetentionOfferResponse,
    TakeOfferRequest,
    TrialPreviewResponse,
    TrialRequest,
)
from mpanel_billing.http.schemas.subscriptions import SubscriptionChangeResponse
from mpanel_billing.subscriptions.ending import end_now, preview_ending
from mpanel_billing.subscriptions.lifecycle import ChangeRequest
from mpanel_billing.subscriptions.retention_offers import find_offer, take_offer
from mpanel_billing.subscriptions.trials import change_trial, preview_trial

routes = Endpoints("billing")

_ONE = "/api/billing/subscriptions/{id}"
_UNKNOWN: Refusals = {NotFoundError: ("unknown_customer", "unknown_subscription")}
_NOT_ENDED_NOW = (
    "not_paid",
    "payment_processing",
    "preview_outdated",
    "subscription_ended",
    "subscription_paused",
    "unpaid_invoice",
)
_NO_TRIAL = ("not_in_trial", "subscription_ending", "subscription_paused", "trial_only_extended")


@routes.endpoint(
    "POST",
    f"{_ONE}/preview-end",
    scope="billing:read",
    body_optional=True,
    calls_stripe=True,
    refusals={**_UNKNOWN, ConflictError: _NOT_ENDED_NOW},
)
async def post_preview_end(call: KeyedCall[IdPath, None, PreviewEndRequest]) -> EndPreviewResponse:
    """Return what would be given back if the subscription ended now."""
    mirror = call.app[keys.MIRROR]
    return EndPreviewResponse.of(await preview_ending(mirror, _request(call), call.body.ending))


@routes.endpoint(
    "POST",
    f"{_ONE}/end",
    scope="billing:refund",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals={
        NotFoundError: (
            "unknown_credit_note",
            "unknown_customer",
            "unknown_invoice",
            "unknown_refund",
            "unknown_subscription",
        ),
        ConflictError: (
            *_NOT_ENDED_NOW,
            "already_refunded",
            "change_in_progress",
            "charge_already_refunded",
            "charge_disputed",
            "idempotency_key_reused",
            "nothing_to_refund",
        ),
        InvalidRequestError: ("invalid_request", "refund_too_large"),
        RefundCeilingError: (),
    },
)
async def post_end(call: KeyedCall[IdPath, None, EndRequest]) -> SubscriptionChangeResponse:
    """End a subscription now, and give back its unused time; honours `Idempotency-Key`."""
    mirror = call.app[keys.MIRROR]
    return SubscriptionChangeResponse.of(await end_now(mirror, _request(call), call.body.ending))


@routes.endpoint(
    "GET",
    f"{_ONE}/retention-offer",
    scope="billing:read",
    refusals={**_UNKNOWN, ConflictError: ("not_paid", "subscription_ended")},
)
async def get_offer(call: KeyedCall[IdPath, OwnerQuery]) -> RetentionOfferResponse:
    """Return what a customer who wants to cancel is offered to stay."""
    request = ChangeRequest(call.actor, call.path.id, call.query.named)
    return RetentionOfferResponse.of(await find_offer(call.app[keys.MIRROR], request))


@routes.endpoint(
    "POST",
    f"{_ONE}/take-offer",
    scope="billing:change",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals={
        **_UNKNOWN,
        SubscriptionScheduledError: (),
        ConflictError: (
            "change_in_progress",
            "idempotency_key_reused",
            "no_offer",
            "not_paid",
            "subscription_ended",
        ),
    },
)
async def post_take_offer(
    call: KeyedCall[IdPath, None, TakeOfferRequest],
) -> SubscriptionChangeResponse:
    """Give a customer what they are offered to stay; honours `Idempotency-Key`."""
    return SubscriptionChangeResponse.of(
        await take_offer(call.app[keys.MIRROR], _request(call), reason=call.body.reason)
    )


@routes.endpoint(
    "POST",
    f"{_ONE}/preview-trial",
    scope="billing:read",
    body_optional=True,
    calls_stripe=True,
    refusals={
        **_UNKNOWN,
        ConflictError: _NO_TRIAL,
    },
)
async def post_preview_trial(
    call: KeyedCall[IdPath, None, PreviewTrialRequest],
) -> TrialPreviewResponse:
    """Return what another end of the trial would charge now."""
    mirror = call.app[keys.MIRROR]
    return TrialPreviewResponse.of(await preview_trial(mirror, _request(call), call.body.ends_at))


@routes.endpoint(
    "POST",
    f"{_ONE}/trial",
    scope="billing:refund",
    idempotent=True,
    calls_stripe=True,
    refusals={
        **_UNKNOWN,
        SubscriptionScheduledError: (),
        ConflictError: (
            *_NO_TRIAL,
            "change_in_progress",
            "idempotency_key_reused",
            "not_paid",
            "subscription_ended",
        ),
        PaymentFailedError: ("card_declined", "authentication_required"),
    },
)
async def post_trial(call: KeyedCall[IdPath, None, TrialRequest]) -> SubscriptionChangeResponse:
    """Extend a trial, or end it and charge the subscription; honours `Idempotency-Key`."""
    return SubscriptionChangeResponse.of(
        await change_trial(
            call.app[keys.MIRROR], _request(call), call.body.ends_at, reason=call.body.reason
        )
    )


def _request(call: KeyedCall[IdPath, None, OwnerRequest]) -> ChangeRequest:
    return ChangeRequest(call.actor, call.path.id, call.body.named, call.idempotency_key)
