"""Bodies of /api/billing/invoices. Amounts are in minor units, times in UTC."""

from collections.abc import Sequence
from typing import Annotated, Self
from uuid import UUID

from pydantic import Field

from mpanel_billing import money
from mpanel_billing.http.schemas.base import Moment, OwnerRequest, PageQuery, Response, Schema
from mpanel_billing.http.schemas.subscriptions import BalanceSchema
from mpanel_billing.subscriptions import records
from mpanel_billing.subscriptions.refunds import Reason


class InvoicesQuery(PageQuery):
    """The invoices of a customer, or of one of their subscriptions."""

    subscription_id: UUID | None = None


class RefundRequest(OwnerRequest):
    """How much to refund: minor units of the invoice's currency; everything if left out."""

    amount: Annotated[int, Field(strict=True, ge=1, le=money.LARGEST_AMOUNT)] | None = None
    reason: Reason | None = None


class InvoiceSchema(Schema):
    """An invoice; `status` is Stripe's."""

    id: UUID
    subscription_id: UUID | None
    number: str | None
    status: str
    billing_reason: str | None
    currency: str
    amount_due: int
    amount_paid: int
    amount_remaining: int
    amount_refunded: int
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
            amount_due=invoice.amount_due,
            amount_paid=invoice.amount_paid,
            amount_remaining=invoice.amount_remaining,
            amount_refunded=invoice.amount_refunded,
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


class InvoiceResponse(Response):
    """One invoice."""

    invoice: InvoiceSchema


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


class RefundResponse(Response):
    """A refund, and the invoice after it."""

    refund: RefundSchema
    invoice: InvoiceSchema

    @classmethod
    def of(cls, refund: records.Refund, invoice: records.Invoice) -> Self:
        """Build the response from a refund and its invoice."""
        part = RefundSchema(
            id=refund.id,
            amount=refund.amount,
            currency=refund.currency,
            status=refund.status,
            reason=refund.reason,
            created_at=refund.created,
        )
        return cls(refund=part, invoice=InvoiceSchema.of(invoice))
