"""/api/billing/subscriptions: mPanel's backend reads and changes customers' subscriptions."""

from mpanel_billing.catalogue.cycles import canonical_cycle
from mpanel_billing.checkout.session_params import CatalogueNotPushedError
from mpanel_billing.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PaymentFailedError,
    ServiceUnreachableError,
    SubscriptionScheduledError,
)
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.operation import Refusals
from mpanel_billing.http.paths import IdPath
from mpanel_billing.http.schemas.base import OwnerQuery, OwnerRequest, PageQuery
from mpanel_billing.http.schemas.endings import (
    CancelRequest,
    PausePreviewResponse,
    PauseRequest,
    PreviewPauseRequest,
    ResumePreviewResponse,
    ResumeRequest,
)
from mpanel_billing.http.schemas.plan_changes import (
    ChangePlanRequest,
    PlanChangePreviewResponse,
    PlanChangeResponse,
    PreviewRequest,
    UndoChangeRequest,
)
from mpanel_billing.http.schemas.subscriptions import (
    SubscriptionChangeResponse,
    SubscriptionResponse,
    SubscriptionSchema,
    SubscriptionsResponse,
)
from mpanel_billing.subscriptions import lifecycle
from mpanel_billing.subscriptions.change_plan import change_plan, preview_plan_change
from mpanel_billing.subscriptions.item_changes import PlanRequest
from mpanel_billing.subscriptions.lifecycle import ChangeRequest
from mpanel_billing.subscriptions.lookup import (
    get_subscription,
    list_balances,
    list_subscriptions,
)
from mpanel_billing.subscriptions.paging import Place, Span, cut_page, read_cursor
from mpanel_billing.subscriptions.pausing import pause, preview_pause, preview_resume
from mpanel_billing.subscriptions.promise import Promise, read_promise, sign_promise

routes = Endpoints("billing")

_ONE = "/api/billing/subscriptions/{id}"

_UNKNOWN: Refusals = {NotFoundError: ("unknown_customer", "unknown_subscription")}
_SCHEDULED: Refusals = {SubscriptionScheduledError: ()}
_NOT_SOLD = (
    "currency_not_sold",
    "cycle_not_sold",
    "invalid_request",
    "quantity_not_sold",
    "setup_fee_due",
    "term_cannot_change",
    "unknown_addon",
    "unknown_cycle",
    "unknown_plan",
)
_NOT_PLANNABLE = (
    "change_not_allowed",
    "usage_not_apart",
    "change_planned",
    "does_not_fit",
    "no_plan_to_change",
    "no_term_to_end",
    "plan_limit_reached",
    "subscription_ending",
    "subscription_paused",
)
_NOT_CHANGEABLE = (
    "change_in_progress",
    "idempotency_key_reused",
    "not_paid",
    "subscription_ended",
)


@routes.endpoint(
    "GET",
    "/api/billing/subscriptions",
    scope="billing:read",
    refusals={NotFoundError: ("unknown_customer",)},
)
async def get_all(call: KeyedCall[None, PageQuery]) -> SubscriptionsResponse:
    """Return a customer's subscriptions, newest first, in pages."""
    query = call.query
    named = query.require_named()
    span = Span(query.limit + 1, read_cursor(query.cursor))
    mirror = call.app[keys.MIRROR]
    rows = await list_subscriptions(mirror, named, span)
    balances = await list_balances(mirror, named)
    page, cursor = cut_page(rows, query.limit, lambda row: Place(row.created_at, row.id))
    return SubscriptionsResponse.of(page, balances, cursor)


@routes.endpoint("GET", _ONE, scope="billing:read", refusals=_UNKNOWN)
async def get_one(call: KeyedCall[IdPath, OwnerQuery]) -> SubscriptionResponse:
    """Return one subscription; with `customerId` or `userId` only if it is that customer's."""
    held = await get_subscription(call.app[keys.MIRROR], call.path.id, call.query.named)
    return SubscriptionResponse(subscription=SubscriptionSchema.of(held))


@routes.endpoint(
    "POST",
    f"{_ONE}/preview-change",
    scope="billing:read",
    calls_stripe=True,
    refusals={
        **_UNKNOWN,
        **_SCHEDULED,
        ConflictError: (*_NOT_PLANNABLE, "not_paid", "subscription_ended"),
        InvalidRequestError: _NOT_SOLD,
        CatalogueNotPushedError: (),
        ServiceUnreachableError: (),
    },
)
async def post_preview(
    call: KeyedCall[IdPath, None, PreviewRequest],
) -> PlanChangePreviewResponse:
    """Return what a change of plan would cost, and a token that makes it at that price."""
    body = call.body
    plan = PlanRequest(
        body.plan_id,
        canonical_cycle(body.billing_cycle),
        body.addon_ids,
        body.proration_behavior,
        body.when,
        tuple(sorted(body.quantities.items())),
    )
    previewed = await preview_plan_change(
        call.app[keys.MIRROR], call.app[keys.DRIVERS], _request(call), plan
    )
    signed = sign_promise(call.app[keys.PREVIEW_SIGNER], previewed.promise)
    return PlanChangePreviewResponse.of(previewed, signed)


@routes.endpoint(
    "POST",
    f"{_ONE}/change-plan",
    scope="billing:change",
    idempotent=True,
    calls_stripe=True,
    refusals={
        **_UNKNOWN,
        **_SCHEDULED,
        ConflictError: (
            *_NOT_CHANGEABLE,
            *_NOT_PLANNABLE,
            "payment_processing",
            "preview_outdated",
            "unpaid_invoice",
        ),
        InvalidRequestError: _NOT_SOLD,
        CatalogueNotPushedError: (),
        ServiceUnreachableError: (),
        PaymentFailedError: ("card_declined", "authentication_required"),
    },
)
async def post_change_plan(
    call: KeyedCall[IdPath, None, ChangePlanRequest],
) -> PlanChangeResponse:
    """Change a subscription's plan, term or add-ons; honours `Idempotency-Key`."""
    promise = _promise(call)
    plan = promise.plan if promise else _plan_request(call.body)
    return PlanChangeResponse.of(
        await change_plan(
            call.app[keys.MIRROR],
            call.app[keys.DRIVERS],
            _request(call),
            plan,
            promise,
            pay_first=call.body.pay_first,
            confirmable=call.body.await_confirmation,
        )
    )


@routes.endpoint(
    "POST",
    f"{_ONE}/cancel",
    scope="billing:change",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals={**_UNKNOWN, **_SCHEDULED, ConflictError: _NOT_CHANGEABLE},
)
async def post_cancel(
    call: KeyedCall[IdPath, None, CancelRequest],
) -> SubscriptionChangeResponse:
    """Cancel a subscription at the end of its period, or now; honours `Idempotency-Key`."""
    return SubscriptionChangeResponse.of(
        await lifecycle.cancel(
            call.app[keys.MIRROR],
            _request(call),
            at_period_end=call.body.at_period_end,
            reason=call.body.reason,
            feedback=call.body.feedback,
        )
    )


@routes.endpoint(
    "POST",
    f"{_ONE}/preview-resume",
    scope="billing:read",
    body_optional=True,
    calls_stripe=True,
    refusals={**_UNKNOWN, ConflictError: ("not_cancelled", "not_paid", "subscription_ended")},
)
async def post_preview_resume(
    call: KeyedCall[IdPath, None, ResumeRequest],
) -> ResumePreviewResponse:
    """Return what a resumption would charge now."""
    return ResumePreviewResponse.of(await preview_resume(call.app[keys.MIRROR], _request(call)))


@routes.endpoint(
    "POST",
    f"{_ONE}/resume",
    scope="billing:change",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals={**_UNKNOWN, **_SCHEDULED, ConflictError: (*_NOT_CHANGEABLE, "not_cancelled")},
)
async def post_resume(
    call: KeyedCall[IdPath, None, ResumeRequest],
) -> SubscriptionChangeResponse:
    """Undo a scheduled cancellation, or a pause; honours `Idempotency-Key`."""
    return SubscriptionChangeResponse.of(
        await lifecycle.resume(call.app[keys.MIRROR], _request(call))
    )


_NOT_PAUSABLE = (
    "charges_waiting",
    "change_planned",
    "pause_needs_date",
    "pause_takes_no_date",
    "payment_processing",
    "subscription_ending",
    "unpaid_invoice",
)


@routes.endpoint(
    "POST",
    f"{_ONE}/preview-pause",
    scope="billing:read",
    body_optional=True,
    calls_stripe=True,
    refusals={
        **_UNKNOWN,
        **_SCHEDULED,
        ConflictError: (*_NOT_PAUSABLE, "not_paid", "subscription_ended"),
    },
)
async def post_preview_pause(
    call: KeyedCall[IdPath, None, PreviewPauseRequest],
) -> PausePreviewResponse:
    """Return what a pause would do."""
    mirror = call.app[keys.MIRROR]
    return PausePreviewResponse.of(await preview_pause(mirror, _request(call), call.body.until))


@routes.endpoint(
    "POST",
    f"{_ONE}/pause",
    scope="billing:change",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals={
        **_UNKNOWN,
        **_SCHEDULED,
        ConflictError: (*_NOT_CHANGEABLE, *_NOT_PAUSABLE),
    },
)
async def post_pause(
    call: KeyedCall[IdPath, None, PauseRequest],
) -> SubscriptionChangeResponse:
    """Pause a subscription; `resume` ends the pause; honours `Idempotency-Key`."""
    return SubscriptionChangeResponse.of(
        await pause(
            call.app[keys.MIRROR], _request(call), until=call.body.until, reason=call.body.reason
        )
    )


@routes.endpoint(
    "POST",
    f"{_ONE}/undo-change",
    scope="billing:change",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals={**_UNKNOWN, **_SCHEDULED, ConflictError: (*_NOT_CHANGEABLE, "no_change_planned")},
)
async def post_undo_change(
    call: KeyedCall[IdPath, None, UndoChangeRequest],
) -> SubscriptionChangeResponse:
    """Keep the plan that a planned change would replace; honours `Idempotency-Key`."""
    return SubscriptionChangeResponse.of(
        await lifecycle.undo_change(call.app[keys.MIRROR], _request(call))
    )


def _request(call: KeyedCall[IdPath, None, OwnerRequest]) -> ChangeRequest:
    return ChangeRequest(call.actor, call.path.id, call.body.named, call.idempotency_key)


def _promise(call: KeyedCall[IdPath, None, ChangePlanRequest]) -> Promise | None:
    token = call.body.preview_token
    if token is None:
        return None
    call.body.require_only_token()
    return read_promise(call.app[keys.PREVIEW_SIGNER], token, call.path.id)


def _plan_request(body: ChangePlanRequest) -> PlanRequest:
    plan_id, cycle = body.require_plan()
    return PlanRequest(
        plan_id,
        canonical_cycle(cycle),
        body.addon_ids,
        body.proration_behavior or "always_invoice",
        body.when,
        tuple(sorted((body.quantities or {}).items())),
    )
