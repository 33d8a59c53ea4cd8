"""/api/billing/invoices: what customers were billed, and giving it back."""

from http import HTTPStatus
from uuid import UUID

from aiohttp import web

from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.http.access import require_scope
from mpanel_billing.http.idempotency import RepeatHeaders, read_idempotency_key
from mpanel_billing.http.json_answer import answer
from mpanel_billing.http.openapi.operation import Operation, described
from mpanel_billing.http.query_string import read_query
from mpanel_billing.http.service_desk import (
    path_id,
    read_body,
    require_customer_named,
    service_desk,
)
from mpanel_billing.subscriptions.answers import InvoicesAnswer, RefundAnswer, show_invoices
from mpanel_billing.subscriptions.invoices import list_invoices
from mpanel_billing.subscriptions.paging import Place, Span, cut_page, read_cursor
from mpanel_billing.subscriptions.refunds import RefundWish, refund_invoice
from mpanel_billing.subscriptions.requests import InvoicesQuery, RefundRequest

routes = web.RouteTableDef()


@routes.get("/api/billing/invoices")
@described(
    Operation(
        "billing",
        {HTTPStatus.OK: InvoicesAnswer},
        scope="billing:read",
        query=InvoicesQuery,
        refusals={NotFoundError: ("unknown_customer", "unknown_subscription")},
    )
)
async def get_all(request: web.Request) -> web.Response:
    """Answer with the invoices of a subscription or a customer, the newest first, in pages."""
    await require_scope(request, "billing:read")
    query = read_query(request, InvoicesQuery)
    if query.subscription_id is None:
        require_customer_named(query.named, "subscriptionId")
    span = Span(query.limit + 1, read_cursor(query.cursor))
    rows = await list_invoices(service_desk(request), query.named, query.subscription_id, span)
    page, cursor = cut_page(rows, query.limit, lambda row: Place(row.stripe_created, row.id))
    return answer(InvoicesAnswer(invoices=show_invoices(page), next_cursor=cursor))


@routes.post("/api/billing/invoices/{id}/refund")
@described(
    Operation(
        "billing",
        {HTTPStatus.OK: RefundAnswer},
        scope="billing",
        path={"id": UUID},
        headers=RepeatHeaders,
        body=RefundRequest,
        body_optional=True,
        asks_stripe=True,
        refusals={
            NotFoundError: ("unknown_customer", "unknown_invoice"),
            ConflictError: (
                "already_refunded",
                "change_in_progress",
                "idempotency_key_reused",
                "nothing_to_refund",
            ),
            InvalidRequestError: ("invalid_request", "refund_too_large"),
        },
    )
)
async def post_refund(request: web.Request) -> web.Response:
    """Give back what was paid, or a part of it; honours `Idempotency-Key`."""
    by = await require_scope(request, "billing")
    body = await read_body(request, RefundRequest)
    wish = RefundWish(
        by,
        path_id(request),
        body.named,
        amount=body.amount,
        reason=body.reason,
        key=read_idempotency_key(request),
    )
    done = await refund_invoice(service_desk(request), wish)
    return answer(RefundAnswer.of(done.refund, done.invoice))
