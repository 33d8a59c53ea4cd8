"""/api/billing: invoices made by hand, those still to come, and the PDF of one."""

from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.paths import IdPath
from mpanel_billing.http.schemas.base import OwnerQuery
from mpanel_billing.http.schemas.invoices import InvoiceDetailsResponse
from mpanel_billing.http.schemas.manual_invoices import (
    InvoicePdfResponse,
    NewInvoiceRequest,
    UpcomingInvoiceResponse,
    UpcomingInvoiceSchema,
)
from mpanel_billing.subscriptions.invoice_actions import get_pdf, get_upcoming
from mpanel_billing.subscriptions.manual_invoices import ManualInvoice, draft_invoice

routes = Endpoints("billing")


@routes.endpoint(
    "POST",
    "/api/billing/invoices",
    scope="billing:change",
    idempotent=True,
    calls_stripe=True,
    refusals={
        NotFoundError: (
            "no_stripe_customer",
            "unknown_customer",
            "unknown_invoice",
            "unknown_subscription",
        ),
        ConflictError: ("change_in_progress", "idempotency_key_reused"),
        InvalidRequestError: ("invalid_request",),
    },
)
async def post_draft(call: KeyedCall[None, None, NewInvoiceRequest]) -> InvoiceDetailsResponse:
    """Make the draft of an invoice: `finalize` has it paid; honours `Idempotency-Key`."""
    body = call.body
    request = ManualInvoice(
        call.actor,
        body.payer,
        tuple(one.line for one in body.lines),
        days_until_due=body.days_until_due,
        memo=body.memo,
        reason=body.reason,
        key=call.idempotency_key,
    )
    return InvoiceDetailsResponse.of(await draft_invoice(call.app[keys.MIRROR], request))


@routes.endpoint(
    "GET",
    "/api/billing/invoices/{id}/pdf",
    scope="billing:read",
    calls_stripe=True,
    refusals={NotFoundError: ("unknown_invoice",), ConflictError: ("invoice_status",)},
)
async def get_link(call: KeyedCall[IdPath, OwnerQuery]) -> InvoicePdfResponse:
    """Return a fresh link to the PDF of an invoice, at Stripe."""
    link = await get_pdf(call.app[keys.MIRROR], call.path.id, call.query.named)
    return InvoicePdfResponse(url=link)


@routes.endpoint(
    "GET",
    "/api/billing/subscriptions/{id}/upcoming-invoice",
    scope="billing:read",
    calls_stripe=True,
    refusals={NotFoundError: ("unknown_subscription",)},
)
async def get_next(call: KeyedCall[IdPath, OwnerQuery]) -> UpcomingInvoiceResponse:
    """Return the next invoice of a subscription with its lines, as Stripe foresees it."""
    found = await get_upcoming(call.app[keys.MIRROR], call.path.id, call.query.named)
    shown = UpcomingInvoiceSchema.of(found) if found else None
    return UpcomingInvoiceResponse(upcoming_invoice=shown)
