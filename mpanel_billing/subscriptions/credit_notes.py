"""Issue credit notes: they lower an invoice to be paid, or give back of one that is paid."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from mpanel_billing import money
from mpanel_billing.access.audit import Actor
from mpanel_billing.access.ceilings import counted_refunds
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
)
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.charges import CHANGE_ID
from mpanel_billing.stripe_gateway.credit_notes import (
    ListedNote,
    PreviewedNote,
    create_credit_note,
    list_credit_notes,
    preview_credit_note,
)
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.amounts import refuse_unchargeable
from mpanel_billing.subscriptions.invoice_records import CreditNote, Invoice
from mpanel_billing.subscriptions.lookup import CustomerRef, require_invoice
from mpanel_billing.subscriptions.money_back import (
    EndService,
    Left,
    Shown,
    already_refunded,
    disputed,
    ends_service,
    get_left,
    refresh_money,
    require_shown,
    too_much,
    translated_refusals,
)
from mpanel_billing.subscriptions.repository.changes import Change
from mpanel_billing.subscriptions.requested_changes import REPEATABLE_FOR, StripeRequest
from mpanel_billing.subscriptions.service_ends import end_with
from mpanel_billing.subscriptions.stripe_requests import make_once

NoteReason = Literal["duplicate", "fraudulent", "order_change", "product_unsatisfactory"]
To = Literal["balance", "card", "out_of_band"]

_PARAMS = {"balance": "credit_amount", "card": "refund_amount", "out_of_band": "out_of_band_amount"}
_ISSUED = "issued"


@dataclass(frozen=True, slots=True)
class RequestedNote:
    """Who credits how much of which invoice, and where to; `key` is the client's idempotency key.

    `amount` is in minor units of the invoice's currency, with taxes; None means all that is left.
    `to` is for a paid invoice: one that is still to be paid becomes less. `shown`: as of a refund.
    """

    by: Actor
    invoice_id: UUID
    named: CustomerRef
    amount: int | None = None
    to: To | None = None
    reason: NoteReason | None = None
    memo: str | None = None
    end_service: EndService = "keep"
    key: str | None = None
    shown: Shown | None = None


@dataclass(frozen=True, slots=True)
class Credited:
    """A credit note and the invoice after it; `service_end` as of a refund."""

    credit_note: CreditNote
    invoice: Invoice
    service_end: Literal["done", "pending"] | None = None


async def preview_note(mirror: Mirror, request: RequestedNote) -> PreviewedNote:
    """Return the credit note as Stripe would issue it; changes nothing."""
    invoice = await refresh_money(mirror, request.invoice_id, request.named)
    ends_service(invoice, request.end_service)
    async with acquired(mirror.pool) as conn:
        left = await get_left(conn, mirror, request.invoice_id, request.named)
    with translated_refusals():
        return await preview_credit_note(mirror.stripe, _params(left, request))


async def issue_note(mirror: Mirror, request: RequestedNote) -> Credited:
    """Issue a credit note of at most what is left; a repeated request has no further effect.

    Errors as of a refund; InvalidRequestError if it does not say where the money goes.
    """
    invoice = await refresh_money(mirror, request.invoice_id, request.named)
    end_service = ends_service(invoice, request.end_service)

    async def decide(conn: Connection) -> Mapping[str, Any]:
        left = await get_left(conn, mirror, request.invoice_id, request.named)
        require_shown(left, request.shown)
        params = _params(left, request)
        await counted.count(conn, params["amount"])
        return params

    async def send(change: Change) -> str:
        return await _send(mirror, invoice, change)

    asked = {name: getattr(request, name) for name in ("amount", "to", "reason", "memo")}
    wanted = StripeRequest(
        "credit_note", invoice.id, asked, request.key, REPEATABLE_FOR, end_service
    )
    with translated_refusals():
        async with counted_refunds(mirror.pool, request.by, invoice.currency) as counted:
            change = await make_once(mirror, request.by, wanted, decide, send, find=find_in_stripe)
    service_end = await end_with(mirror, request.by, change)
    return await _result(mirror, request, change, service_end)


def _params(left: Left, request: RequestedNote) -> dict[str, Any]:
    """Return what Stripe is asked for; an invoice that is still to be paid gives nothing back."""
    if left.invoice.stripe_status in {"open", "uncollectible"}:
        given = _of_unpaid(left.invoice, request)
    elif left.invoice.stripe_status == "paid":
        given = _of_paid(left, request)
    else:
        raise ConflictError(
            "Only an invoice that was issued, and not voided, can be credited.",
            code="nothing_to_refund",
        )
    said = {name: getattr(request, name) for name in ("reason", "memo") if getattr(request, name)}
    return {"invoice": left.invoice.stripe_invoice_id, **given, **said}


def _of_unpaid(invoice: Invoice, request: RequestedNote) -> dict[str, Any]:
    if request.to is not None:
        raise InvalidRequestError(
            "This invoice is not paid: the credit lowers the amount due.",
            fields={"to": "must be left out"},
        )
    amount = invoice.amount_remaining if request.amount is None else request.amount
    if amount > invoice.amount_remaining:
        most = money.format_money(invoice.amount_remaining, invoice.currency)
        raise InvalidRequestError(
            f"Only {most} of this invoice is still to be paid.",
            code="refund_too_large",
            fields={"amount": f"must be at most {invoice.amount_remaining}"},
        )
    if amount != invoice.amount_remaining:
        refuse_unchargeable(amount, invoice.currency)
    return {"amount": amount}


def _of_paid(left: Left, request: RequestedNote) -> dict[str, Any]:
    if request.to is None:
        raise InvalidRequestError(
            "This invoice is paid: say where the money goes.",
            fields={"to": "must be balance, card or out_of_band"},
        )
    if left.invoice.kept <= 0:
        raise disputed() if left.invoice.amount_disputed else already_refunded()
    if request.to == "card":
        _, amount = left.to_refund(request.amount)
    else:
        amount = left.invoice.kept if request.amount is None else request.amount
    if amount > left.invoice.kept:
        raise too_much(left.invoice.kept, left.invoice.currency)
    if amount != left.invoice.kept:
        refuse_unchargeable(amount, left.invoice.currency)
    return {"amount": amount, _PARAMS[request.to]: amount}


async def _send(mirror: Mirror, invoice: Invoice, change: Change) -> str:
    """Issue the note at Stripe; after an earlier failure, first look whether it exists."""
    note = await _find(mirror, change) if change.attempt > 1 else None
    if note is None:
        params = {**change.params, "metadata": {CHANGE_ID: str(change.id)}}
        note = await create_credit_note(mirror.stripe, params, change.idempotency_key)
    for refund_id in note.refund_ids:
        await mirror.refresh("refund", refund_id)
    await mirror.refresh("credit_note", note.id)
    await mirror.refresh("invoice", invoice.stripe_invoice_id)
    return note.id


async def find_in_stripe(mirror: Mirror, change: Change) -> str | None:
    """Return the credit note that an earlier attempt of the change has made, if any."""
    note = await _find(mirror, change)
    return note.id if note else None


async def _find(mirror: Mirror, change: Change) -> ListedNote | None:
    made = await list_credit_notes(mirror.stripe, change.params["invoice"])
    mine = (one for one in made if one.change_id == str(change.id) and one.status == _ISSUED)
    return next(mine, None)


async def _result(
    mirror: Mirror,
    request: RequestedNote,
    change: Change | None,
    service_end: Literal["done", "pending"] | None,
) -> Credited:
    async with acquired(mirror.pool) as conn:
        invoice = await require_invoice(conn, mirror, request.invoice_id, request.named)
        note_id = change.stripe_id if change else None
        notes = await repository.invoices.list_credit_notes(
            conn, invoice.stripe_invoice_id, note_id or ""
        )
    if not notes:
        raise NotFoundError("This credit note is no longer on record.", code="unknown_credit_note")
    return Credited(notes[0], invoice, service_end)
