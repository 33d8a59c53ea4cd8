"""Bodies of refunds and credit notes, in minor units; times in UTC."""

from typing import Annotated, Literal, Self

from pydantic import Field

from mpanel_billing.http.schemas.base import (
    Line,
    Moment,
    OwnerRequest,
    Response,
    Schema,
)
from mpanel_billing.http.schemas.invoices import Amount, InvoiceSchema
from mpanel_billing.stripe_gateway.credit_notes import PreviewedNote
from mpanel_billing.subscriptions.credit_notes import Credited, NoteReason, To
from mpanel_billing.subscriptions.invoice_records import CreditNote, Refund
from mpanel_billing.subscriptions.money_back import EndService
from mpanel_billing.subscriptions.refunds import Reason, Refunded, RefundPreview


class RefundRequest(OwnerRequest):
    """How much to refund: minor units of the invoice's currency; everything if left out.

    `endService`: the subscription ends `now`, or at the end of its period, or stays (`keep`).
    """

    amount: Amount | None = None
    reason: Reason | None = None
    end_service: EndService = "keep"


class CreditNoteRequest(OwnerRequest):
    """How much to credit, with taxes: minor units of the invoice's currency; all if left out.

    `to` says where the money of a paid invoice goes: to the customer's `balance`, to the `card`, or
    `out_of_band`, if you have given it back yourself. An invoice that is not paid becomes less:
    then it is left out. `memo` is printed on the credit note.
    """

    amount: Amount | None = None
    to: To | None = None
    reason: NoteReason | None = None
    memo: Annotated[Line, Field(min_length=1, max_length=500)] | None = None
    end_service: EndService = "keep"


class RefundSchema(Schema):
    """A refund; `id` and `status` are Stripe's."""

    id: str
    amount: int
    currency: str
    status: str
    reason: str | None
    created_at: Moment

    @classmethod
    def of(cls, refund: Refund) -> Self:
        """Build the object from a refund."""
        return cls(
            id=refund.id,
            amount=refund.amount,
            currency=refund.currency,
            status=refund.status,
            reason=refund.reason,
            created_at=refund.created,
        )


ServiceEnd = Literal["done", "pending"]


class RefundResponse(Response):
    """A refund, and the invoice after it.

    `serviceEnd` is null if the subscription stays; `pending` if the money is back, but Stripe did
    not end the subscription yet: the worker has it done.
    """

    refund: RefundSchema
    invoice: InvoiceSchema
    service_end: ServiceEnd | None

    @classmethod
    def of(cls, done: Refunded) -> Self:
        """Build the response from a refund and its invoice."""
        return cls(
            refund=RefundSchema.of(done.refund),
            invoice=InvoiceSchema.of(done.invoice),
            service_end=done.service_end,
        )


class RefundsResponse(Response):
    """The refunds of an invoice, newest first."""

    refunds: tuple[RefundSchema, ...]


class RefundPreviewResponse(Response):
    """What a refund would give back, and what of the invoice would be left to give back."""

    amount: int
    currency: str
    left: int
    invoice: InvoiceSchema

    @classmethod
    def of(cls, preview: RefundPreview) -> Self:
        """Build the response from a preview."""
        return cls(
            amount=preview.amount,
            currency=preview.currency,
            left=preview.left,
            invoice=InvoiceSchema.of(preview.invoice),
        )


class CreditNoteSchema(Schema):
    """A credit note; `id`, `number`, `status` and `reason` are Stripe's, `pdf` is its PDF.

    `amount` is the sum of the other amounts: what lowered the invoice before it was paid, and what
    was given back after it.
    """

    id: str
    number: str | None
    status: str
    amount: int
    amount_before_payment: int
    amount_refunded: int
    amount_to_balance: int
    amount_out_of_band: int
    currency: str
    reason: str | None
    memo: str | None
    pdf: str | None
    created_at: Moment

    @classmethod
    def of(cls, note: CreditNote) -> Self:
        """Build the object from a credit note."""
        return cls(
            id=note.id,
            number=note.number,
            status=note.status,
            amount=note.amount,
            amount_before_payment=note.amount_before_payment,
            amount_refunded=note.amount_refunded,
            amount_to_balance=note.amount_to_balance,
            amount_out_of_band=note.amount_out_of_band,
            currency=note.currency,
            reason=note.reason,
            memo=note.memo,
            pdf=note.pdf,
            created_at=note.created,
        )


class CreditNotesResponse(Response):
    """The credit notes of an invoice, newest first."""

    credit_notes: tuple[CreditNoteSchema, ...]


class CreditNoteResponse(Response):
    """A credit note, and the invoice after it; `serviceEnd` as of a refund."""

    credit_note: CreditNoteSchema
    invoice: InvoiceSchema
    service_end: ServiceEnd | None

    @classmethod
    def of(cls, done: Credited) -> Self:
        """Build the response from a credit note and its invoice."""
        return cls(
            credit_note=CreditNoteSchema.of(done.credit_note),
            invoice=InvoiceSchema.of(done.invoice),
            service_end=done.service_end,
        )


class CreditNotePreviewResponse(Response):
    """A credit note as Stripe would issue it; `tax` is part of `amount`."""

    amount: int
    tax: int
    amount_before_payment: int
    amount_after_payment: int
    currency: str

    @classmethod
    def of(cls, note: PreviewedNote) -> Self:
        """Build the response from a preview."""
        return cls(
            amount=note.amount,
            tax=note.tax,
            amount_before_payment=note.before_payment,
            amount_after_payment=note.after_payment,
            currency=note.currency,
        )
