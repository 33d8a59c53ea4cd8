"""/api/billing/invoices/{id}/refund and /credit-notes: money back, previewed and given."""

from collections.abc import Mapping
from types import MappingProxyType

from mpanel_billing.access.ceilings import RefundCeilingError
from mpanel_billing.errors import (
    BillingError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
)
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.paths import IdPath
from mpanel_billing.http.schemas.base import OwnerQuery
from mpanel_billing.http.schemas.money_back import (
    CreditNotePreviewResponse,
    CreditNoteRequest,
    CreditNoteResponse,
    CreditNoteSchema,
    CreditNotesResponse,
    RefundPreviewResponse,
    RefundRequest,
    RefundResponse,
    RefundSchema,
    RefundsResponse,
)
from mpanel_billing.subscriptions.credit_notes import RequestedNote, issue_note, preview_note
from mpanel_billing.subscriptions.money_back import list_notes_of, list_refunds_of
from mpanel_billing.subscriptions.refunds import RequestedRefund, preview_refund, refund_invoice

routes = Endpoints("billing")

_NOT_POSSIBLE = (
    "already_refunded",
    "charge_already_refunded",
    "charge_disputed",
    "nothing_to_refund",
)
_PREVIEW: Mapping[type[BillingError], tuple[str, ...]] = MappingProxyType(
    {
        NotFoundError: ("unknown_customer", "unknown_invoice"),
        ConflictError: _NOT_POSSIBLE,
        InvalidRequestError: ("invalid_request", "refund_too_large"),
    }
)
_GIVEN: Mapping[type[BillingError], tuple[str, ...]] = MappingProxyType(
    {
        **_PREVIEW,
        ConflictError: (*_NOT_POSSIBLE, "change_in_progress", "idempotency_key_reused"),
        RefundCeilingError: (),
    }
)


@routes.endpoint(
    "GET",
    "/api/billing/invoices/{id}/refunds",
    scope="billing:read",
    refusals={NotFoundError: ("unknown_invoice",)},
)
async def get_refunds(call: KeyedCall[IdPath, OwnerQuery]) -> RefundsResponse:
    """Return the refunds of an invoice, wherever they were made, newest first."""
    found = await list_refunds_of(call.app[keys.MIRROR], call.path.id, call.query.named)
    return RefundsResponse(refunds=tuple(RefundSchema.of(one) for one in found))


@routes.endpoint(
    "POST",
    "/api/billing/invoices/{id}/preview-refund",
    scope="billing:read",
    body_optional=True,
    calls_stripe=True,
    refusals=_PREVIEW,
)
async def post_preview_refund(
    call: KeyedCall[IdPath, None, RefundRequest],
) -> RefundPreviewResponse:
    """Return what a refund would give back; changes nothing."""
    preview = await preview_refund(call.app[keys.MIRROR], _refund(call))
    return RefundPreviewResponse.of(preview)


@routes.endpoint(
    "POST",
    "/api/billing/invoices/{id}/refund",
    scope="billing:refund",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals={
        **_GIVEN,
        NotFoundError: ("unknown_customer", "unknown_invoice", "unknown_refund"),
    },
)
async def post_refund(call: KeyedCall[IdPath, None, RefundRequest]) -> RefundResponse:
    """Refund what was paid, or a part of it; honours `Idempotency-Key`."""
    return RefundResponse.of(await refund_invoice(call.app[keys.MIRROR], _refund(call)))


def _refund(call: KeyedCall[IdPath, None, RefundRequest]) -> RequestedRefund:
    return RequestedRefund(
        call.actor,
        call.path.id,
        call.body.named,
        amount=call.body.amount,
        reason=call.body.reason,
        end_service=call.body.end_service,
        key=call.idempotency_key,
    )


@routes.endpoint(
    "GET",
    "/api/billing/invoices/{id}/credit-notes",
    scope="billing:read",
    refusals={NotFoundError: ("unknown_invoice",)},
)
async def get_credit_notes(call: KeyedCall[IdPath, OwnerQuery]) -> CreditNotesResponse:
    """Return the credit notes of an invoice with the links to their PDFs, newest first."""
    found = await list_notes_of(call.app[keys.MIRROR], call.path.id, call.query.named)
    return CreditNotesResponse(credit_notes=tuple(CreditNoteSchema.of(one) for one in found))


@routes.endpoint(
    "POST",
    "/api/billing/invoices/{id}/preview-credit-note",
    scope="billing:read",
    body_optional=True,
    calls_stripe=True,
    refusals=_PREVIEW,
)
async def post_preview_credit_note(
    call: KeyedCall[IdPath, None, CreditNoteRequest],
) -> CreditNotePreviewResponse:
    """Return the credit note that Stripe would issue; changes nothing."""
    preview = await preview_note(call.app[keys.MIRROR], _note(call))
    return CreditNotePreviewResponse.of(preview)


@routes.endpoint(
    "POST",
    "/api/billing/invoices/{id}/credit-notes",
    scope="billing:refund",
    idempotent=True,
    body_optional=True,
    calls_stripe=True,
    refusals={
        **_GIVEN,
        NotFoundError: ("unknown_customer", "unknown_invoice", "unknown_credit_note"),
    },
)
async def post_credit_note(
    call: KeyedCall[IdPath, None, CreditNoteRequest],
) -> CreditNoteResponse:
    """Credit an invoice, or a part of it; honours `Idempotency-Key`."""
    return CreditNoteResponse.of(await issue_note(call.app[keys.MIRROR], _note(call)))


def _note(call: KeyedCall[IdPath, None, CreditNoteRequest]) -> RequestedNote:
    return RequestedNote(
        call.actor,
        call.path.id,
        call.body.named,
        amount=call.body.amount,
        to=call.body.to,
        reason=call.body.reason,
        memo=call.body.memo,
        end_service=call.body.end_service,
        key=call.idempotency_key,
    )
