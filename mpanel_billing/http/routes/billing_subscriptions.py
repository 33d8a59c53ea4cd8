"""/api/billing/subscriptions: mPanel's backend looks after what its customers subscribe to."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from aiohttp import web

from mpanel_billing.catalogue.cycles import canonical_cycle
from mpanel_billing.errors import (
    ConflictError,
    InvalidRequestError,
    MalformedRequestError,
    NotFoundError,
    PaymentFailedError,
)
from mpanel_billing.http.access import require_scope
from mpanel_billing.http.idempotency import RepeatHeaders, read_idempotency_key
from mpanel_billing.http.json_answer import answer
from mpanel_billing.http.openapi.operation import Operation, Refusals, described
from mpanel_billing.http.query_string import read_query
from mpanel_billing.http.service_desk import (
    path_id,
    read_body,
    require_customer_named,
    service_desk,
)
from mpanel_billing.subscriptions import lifecycle
from mpanel_billing.subscriptions.answers import (
    ChangedAnswer,
    PreviewAnswer,
    SubscriptionAnswer,
    SubscriptionPart,
    SubscriptionsAnswer,
    show_subscriptions,
)
from mpanel_billing.subscriptions.lifecycle import Changed, PlanTerms, Request
from mpanel_billing.subscriptions.paging import Place, Span, cut_page, read_cursor
from mpanel_billing.subscriptions.plan_change import PlanWish
from mpanel_billing.subscriptions.preview import preview_plan_change
from mpanel_billing.subscriptions.requests import (
    CancelRequest,
    ChangePlanRequest,
    ListQuery,
    OwnerQuery,
    PreviewRequest,
    ResumeRequest,
)
from mpanel_billing.subscriptions.subscriptions import get_subscription, list_subscriptions

routes = web.RouteTableDef()

_ONE = "/api/billing/subscriptions/{id}"
_PATH: dict[str, Any] = {"id": UUID}

_UNKNOWN: Refusals = {NotFoundError: ("unknown_customer", "unknown_subscription")}
_UNSOLD = (
    "currency_not_sold",
    "cycle_not_sold",
    "invalid_request",
    "term_cannot_change",
    "unknown_addon",
    "unknown_cycle",
    "unknown_plan",
)
_IN_THE_WAY = ("change_in_progress", "idempotency_key_reused", "not_paid", "subscription_ended")


@routes.get("/api/billing/subscriptions")
@described(
    Operation(
        "billing",
        {HTTPStatus.OK: SubscriptionsAnswer},
        scope="billing:read",
        query=ListQuery,
        refusals={NotFoundError: ("unknown_customer",)},
    )
)
async def get_all(request: web.Request) -> web.Response:
    """Answer with a customer's subscriptions, the newest first, in pages."""
    await require_scope(request, "billing:read")
    query = read_query(request, ListQuery)
    require_customer_named(query.named)
    span = Span(query.limit + 1, read_cursor(query.cursor))
    rows = await list_subscriptions(service_desk(request), query.named, span)
    page, cursor = cut_page(rows, query.limit, lambda row: Place(row.created_at, row.id))
    return answer(SubscriptionsAnswer(subscriptions=show_subscriptions(page), next_cursor=cursor))


@routes.get(_ONE)
@described(
    Operation(
        "billing",
        {HTTPStatus.OK: SubscriptionAnswer},
        scope="billing:read",
        path=_PATH,
        query=OwnerQuery,
        refusals=_UNKNOWN | {MalformedRequestError: ()},
    )
)
async def get_one(request: web.Request) -> web.Response:
    """Answer with one subscription; `?customerId=` or `?userId=` say whose it must be."""
    await require_scope(request, "billing:read")
    named = read_query(request, OwnerQuery).named
    held = await get_subscription(service_desk(request), path_id(request), named)
    return answer(SubscriptionAnswer(subscription=SubscriptionPart.of(held)))


@routes.post(f"{_ONE}/preview-change")
@described(
    Operation(
        "billing",
        {HTTPStatus.OK: PreviewAnswer},
        scope="billing:read",
        path=_PATH,
        body=PreviewRequest,
        asks_stripe=True,
        refusals=_UNKNOWN
        | {
            ConflictError: ("no_plan_to_change", "not_paid", "subscription_ended"),
            InvalidRequestError: _UNSOLD,
        },
    )
)
async def post_preview(request: web.Request) -> web.Response:
    """Answer with what a change of plan would cost; nothing is changed."""
    by = await require_scope(request, "billing:read")
    body = await read_body(request, PreviewRequest)
    asked = Request(by, path_id(request), body.named)
    preview = await preview_plan_change(
        service_desk(request), asked, _plan_wish(body), body.proration_behavior
    )
    return answer(PreviewAnswer.of(asked.subscription_id, preview, body.proration_behavior))


@routes.post(f"{_ONE}/change-plan")
@described(
    Operation(
        "billing",
        {HTTPStatus.OK: ChangedAnswer},
        scope="billing",
        path=_PATH,
        headers=RepeatHeaders,
        body=ChangePlanRequest,
        asks_stripe=True,
        refusals=_UNKNOWN
        | {
            ConflictError: (*_IN_THE_WAY, "no_plan_to_change"),
            InvalidRequestError: (*_UNSOLD, "preview_outdated"),
            PaymentFailedError: ("card_declined", "authentication_required"),
        },
    )
)
async def post_change_plan(request: web.Request) -> web.Response:
    """Put a subscription on another plan, term or set of add-ons; honours `Idempotency-Key`."""
    by = await require_scope(request, "billing")
    body = await read_body(request, ChangePlanRequest)
    asked = Request(by, path_id(request), body.named, read_idempotency_key(request))
    terms = PlanTerms(body.proration_behavior, body.proration_date)
    desk = service_desk(request)
    return _changed(await lifecycle.change_plan(desk, asked, _plan_wish(body), terms))


@routes.post(f"{_ONE}/cancel")
@described(
    Operation(
        "billing",
        {HTTPStatus.OK: ChangedAnswer},
        scope="billing",
        path=_PATH,
        headers=RepeatHeaders,
        body=CancelRequest,
        body_optional=True,
        asks_stripe=True,
        refusals=_UNKNOWN | {ConflictError: _IN_THE_WAY},
    )
)
async def post_cancel(request: web.Request) -> web.Response:
    """End a subscription with its period, or at once; honours `Idempotency-Key`."""
    by = await require_scope(request, "billing")
    body = await read_body(request, CancelRequest)
    asked = Request(by, path_id(request), body.named, read_idempotency_key(request))
    return _changed(
        await lifecycle.cancel(
            service_desk(request), asked, at_period_end=body.at_period_end, reason=body.reason
        )
    )


@routes.post(f"{_ONE}/resume")
@described(
    Operation(
        "billing",
        {HTTPStatus.OK: ChangedAnswer},
        scope="billing",
        path=_PATH,
        headers=RepeatHeaders,
        body=ResumeRequest,
        body_optional=True,
        asks_stripe=True,
        refusals=_UNKNOWN | {ConflictError: (*_IN_THE_WAY, "not_cancelled")},
    )
)
async def post_resume(request: web.Request) -> web.Response:
    """Let a subscription go on that was going to end; honours `Idempotency-Key`."""
    by = await require_scope(request, "billing")
    body = await read_body(request, ResumeRequest)
    asked = Request(by, path_id(request), body.named, read_idempotency_key(request))
    return _changed(await lifecycle.resume(service_desk(request), asked))


def _plan_wish(body: PreviewRequest) -> PlanWish:
    return PlanWish(body.plan_id, canonical_cycle(body.billing_cycle), body.addon_ids)


def _changed(result: Changed) -> web.Response:
    shown = SubscriptionPart.of(result.subscription)
    return answer(ChangedAnswer(subscription=shown, changed=result.changed))
