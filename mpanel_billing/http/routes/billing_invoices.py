"""/api/billing/invoices: what customers were billed."""

from mpanel_billing.errors import NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.paths import IdPath
from mpanel_billing.http.schemas.base import OwnerQuery
from mpanel_billing.http.schemas.invoices import (
    InvoiceResponse,
    InvoiceSchema,
    InvoicesQuery,
    InvoicesResponse,
)
from mpanel_billing.subscriptions.lookup import get_invoice, list_balances, list_invoices
from mpanel_billing.subscriptions.paging import Place, Span, cut_page, read_cursor

routes = Endpoints("billing")


@routes.endpoint(
    "GET",
    "/api/billing/invoices",
    scope="billing:read",
    refusals={NotFoundError: ("unknown_customer", "unknown_subscription")},
)
async def get_all(call: KeyedCall[None, InvoicesQuery]) -> InvoicesResponse:
    """Return the invoices of a customer or a subscription, newest first, in pages."""
    query = call.query
    named = query.named if query.subscription_id else query.require_named("subscriptionId")
    span = Span(query.limit + 1, read_cursor(query.cursor))
    mirror = call.app[keys.MIRROR]
    rows = await list_invoices(mirror, named, query.subscription_id, span, query.status)
    balances = await list_balances(mirror, named, query.subscription_id)
    page, cursor = cut_page(rows, query.limit, lambda row: Place(row.stripe_created, row.id))
    return InvoicesResponse.of(page, balances, cursor)


@routes.endpoint(
    "GET",
    "/api/billing/invoices/{id}",
    scope="billing:read",
    refusals={NotFoundError: ("unknown_invoice",)},
)
async def get_one(call: KeyedCall[IdPath, OwnerQuery]) -> InvoiceResponse:
    """Return one invoice; with `customerId` or `userId` only if it is that customer's."""
    invoice = await get_invoice(call.app[keys.MIRROR], call.path.id, call.query.named)
    return InvoiceResponse(invoice=InvoiceSchema.of(invoice))
