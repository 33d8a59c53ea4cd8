"""Bodies of /api/billing/invoices. Amounts are in minor units, times in UTC."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints

from mpanel_billing import money
from mpanel_billing.http.schemas.base import (
    Line,
    Moment,
    OwnerRequest,
    PageQuery,
    Response,
    Schema,
)
from mpanel_billing.http.schemas.subscriptions import BalanceSchema
from mpanel_billing.stripe_gateway import invoices as at_stripe
from mpanel_billing.stripe_gateway.credit_notes import PreviewedNote
from mpanel_billing.subscriptions import records
from mpanel_billing.subscriptions.credit_notes import Credited, NoteReason, To
from mpanel_billing.subscriptions.invoice_actions import ActedOn, InvoiceDetails
from mpanel_billing.subscriptions.money_back import EndService
from mpanel_billing.subscriptions.refunds import Reason, Refunded, RefundPreview

Status = Literal["draft", "open", "paid", "uncollectible", "void"]
"""Stripe's."""

Note = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class InvoicesQuery(PageQuery):
    """The invoices of a customer, or of one of their subscriptions; without `status` no drafts."""

    subscription_id: UUID | None = None
    status: Status | None = None


class InvoiceActionRequest(OwnerRequest):
    """Why something is done about an invoice."""

    reason: Note | None = None


class PayRequest(InvoiceActionRequest):
    """With what an invoice is paid; without `paymentMethodId` as Stripe collects it."""

    payment_method_id: Annotated[str, Field(pattern="^pm_[A-Za-z0-9_]{1,100}$")] | None = None


class MarkPaidRequest(OwnerRequest):
    """How an invoice was paid outside of Stripe."""

    reason: Note


Amount = Annotated[int, Field(strict=True, ge=1, le=money.LARGEST_AMOUNT)]


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


class InvoiceSchema(Schema):
    """An invoice; `status` is Stripe's.

    Of `amountInvoiced`, its total, `amountRefunded` was refunded, `amountCredited` given back by
    credit notes without a refund, and `amountDisputed` taken back by banks. All of it is back if
    the first two add up to it: then mPanel's own status is `refunded`.
    """

    id: UUID
    subscription_id: UUID | None
    number: str | None
    status: str
    billing_reason: str | None
    currency: str
    amount_invoiced: int
    amount_due: int
    amount_paid: int
    amount_remaining: int
    amount_refunded: int
    amount_credited: int
    amount_disputed: int
    period_start: Moment | None
    period_end: Moment | None
    created_at: Moment
    paid_at: Moment | None
    next_payment_attempt: Moment | None
    hosted_invoice_url: str | None
    invoice_pdf: str | None

    @classmethod
    def of(cls, invoice: records.Invoice) -> Self:
        """Build the object from an invoice."""
        return cls(
            id=invoice.id,
            subscription_id=invoice.subscription_id,
            number=invoice.stripe_number,
            status=invoice.stripe_status,
            billing_reason=invoice.billing_reason,
            currency=invoice.currency,
            amount_invoiced=invoice.amount_invoiced,
            amount_due=invoice.amount_due,
            amount_paid=invoice.amount_paid,
            amount_remaining=invoice.amount_remaining,
            amount_refunded=invoice.amount_refunded,
            amount_credited=invoice.amount_credited,
            amount_disputed=invoice.amount_disputed,
            period_start=invoice.period_start,
            period_end=invoice.period_end,
            created_at=invoice.stripe_created,
            paid_at=invoice.paid_at,
            next_payment_attempt=invoice.next_payment_attempt,
            hosted_invoice_url=invoice.hosted_invoice_url,
            invoice_pdf=invoice.invoice_pdf,
        )


class RefundSchema(Schema):
    """A refund; `id` and `status` are Stripe's."""

    id: str
    amount: int
    currency: str
    status: str
    reason: str | None
    created_at: Moment

    @classmethod
    def of(cls, refund: records.Refund) -> Self:
        """Build the object from a refund."""
        return cls(
            id=refund.id,
            amount=refund.amount,
            currency=refund.currency,
            status=refund.status,
            reason=refund.reason,
            created_at=refund.created,
        )


class InvoiceResponse(Response):
    """One invoice."""

    invoice: InvoiceSchema


class InvoiceLineSchema(Schema):
    """A line: `amount` is before its discount and its tax."""

    description: str
    quantity: int | None
    amount: int
    discount: int
    tax: int
    proration: bool
    period_start: Moment
    period_end: Moment

    @classmethod
    def of(cls, line: at_stripe.InvoiceLine) -> Self:
        """Build the object from a line."""
        return cls(**asdict(line))


class AttemptSchema(Schema):
    """A charge for an invoice; `reason` says in words why it was declined."""

    at: Moment
    amount: int
    currency: str
    status: str
    reason: str | None
    card_brand: str | None
    card_last4: str | None

    @classmethod
    def of(cls, attempt: records.Attempt) -> Self:
        """Build the object from an attempt."""
        return cls(**asdict(attempt))


class InvoiceDetailsResponse(InvoiceResponse):
    """One invoice with its lines, and with the attempts to collect it, the oldest first."""

    subtotal: int
    discount: int
    tax: int
    total: int
    lines: tuple[InvoiceLineSchema, ...]
    attempts: tuple[AttemptSchema, ...]

    @classmethod
    def of(cls, details: InvoiceDetails) -> Self:
        """Build the response from an invoice with its details."""
        sums = details.sums
        return cls(
            invoice=InvoiceSchema.of(details.invoice),
            subtotal=sums.subtotal,
            discount=sums.discount,
            tax=sums.tax,
            total=sums.total,
            lines=tuple(InvoiceLineSchema.of(line) for line in sums.lines),
            attempts=tuple(AttemptSchema.of(one) for one in details.attempts),
        )


class InvoiceChangeResponse(InvoiceResponse):
    """An invoice after a request; `changed` is false if it was like that already."""

    changed: bool

    @classmethod
    def of(cls, done: ActedOn) -> Self:
        """Build the response from the result of a request."""
        return cls(invoice=InvoiceSchema.of(done.invoice), changed=done.changed)


class InvoicesResponse(Response):
    """A page of invoices; `nextCursor` is null on the last page."""

    invoices: tuple[InvoiceSchema, ...]
    balances: tuple[BalanceSchema, ...]
    next_cursor: str | None

    @classmethod
    def of(
        cls,
        page: Sequence[records.Invoice],
        balances: Sequence[records.Balance],
        next_cursor: str | None,
    ) -> Self:
        """Build the response from a page of a list."""
        return cls(
            invoices=tuple(InvoiceSchema.of(one) for one in page),
            balances=tuple(BalanceSchema.of(one) for one in balances),
            next_cursor=next_cursor,
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
    def of(cls, note: records.CreditNote) -> Self:
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
