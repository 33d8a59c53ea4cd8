"""Bodies of /api/billing/invoices. Amounts are in minor units, times in UTC."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints

from mpanel_billing import money
from mpanel_billing.http.request import PAYMENT_METHOD
from mpanel_billing.http.schemas.base import (
    Moment,
    OwnerRequest,
    PageQuery,
    Response,
    Schema,
)
from mpanel_billing.http.schemas.subscriptions import BalanceSchema
from mpanel_billing.stripe_gateway import invoices as at_stripe
from mpanel_billing.subscriptions.invoice_actions import ActedOn, InvoiceDetails
from mpanel_billing.subscriptions.invoice_records import Attempt, Invoice, Tax
from mpanel_billing.subscriptions.records import Balance

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

    payment_method_id: Annotated[str, Field(pattern=PAYMENT_METHOD)] | None = None


class MarkPaidRequest(OwnerRequest):
    """How an invoice was paid outside of Stripe."""

    reason: Note


Amount = Annotated[int, Field(strict=True, ge=1, le=money.LARGEST_AMOUNT)]


class InvoiceSchema(Schema):
    """An invoice; `status` is Stripe's.

    `total` is `totalExcludingTax` and `totalTax`, whether prices contain the taxes or not.
    `amountInvoiced` is `total` less what credit notes took off before it was paid. Of it
    `amountRefunded` was refunded, `amountCredited` given back by credit notes without a refund, and
    `amountDisputed` taken back by banks. All of it is back if the first two add up to it: then
    mPanel's own status is `refunded`.
    """

    id: UUID
    subscription_id: UUID | None
    number: str | None
    status: str
    billing_reason: str | None
    currency: str
    total: int
    total_tax: int
    total_excluding_tax: int
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
    def of(cls, invoice: Invoice) -> Self:
        """Build the object from an invoice."""
        return cls(
            id=invoice.id,
            subscription_id=invoice.subscription_id,
            number=invoice.stripe_number,
            status=invoice.stripe_status,
            billing_reason=invoice.billing_reason,
            currency=invoice.currency,
            total=invoice.total,
            total_tax=invoice.total_tax,
            total_excluding_tax=invoice.total - invoice.total_tax,
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


class InvoiceResponse(Response):
    """One invoice."""

    invoice: InvoiceSchema


class InvoiceLineSchema(Schema):
    """A line: `amount` is before its discount and its tax, of which it contains `taxIncluded`."""

    description: str
    quantity: int | None
    amount: int
    discount: int
    tax: int
    tax_included: int
    proration: bool
    period_start: Moment
    period_end: Moment

    @classmethod
    def of(cls, line: at_stripe.InvoiceLine) -> Self:
        """Build the object from a line."""
        return cls(**asdict(line))


class TaxSchema(Schema):
    """The tax at one rate, on `net`, which does not contain it; `rate` is in percent.

    `reason` is Stripe's `taxability_reason`, such as `standard_rated` or `reverse_charge`. What the
    rate says is null while it is being fetched.
    """

    name: str | None
    country: str | None
    jurisdiction: str | None
    rate: float | None
    inclusive: bool
    reason: str | None
    net: int
    tax: int

    @classmethod
    def of(cls, tax: Tax) -> Self:
        """Build the object from a tax."""
        rate = None if tax.rate is None else float(tax.rate)
        return cls(**asdict(tax) | {"rate": rate})


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
    def of(cls, attempt: Attempt) -> Self:
        """Build the object from an attempt."""
        return cls(**asdict(attempt))


class InvoiceDetailsResponse(InvoiceResponse):
    """One invoice with its lines, and with the attempts to collect it, the oldest first.

    `total` is `subtotal` less `discount`, with what of `tax` is not `taxIncluded` in prices.
    `taxes` are as the mirror has them.
    """

    subtotal: int
    discount: int
    tax: int
    tax_included: int
    total: int
    taxes: tuple[TaxSchema, ...]
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
            tax_included=sums.tax_included,
            total=sums.total,
            taxes=tuple(TaxSchema.of(one) for one in details.taxes),
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
        page: Sequence[Invoice],
        balances: Sequence[Balance],
        next_cursor: str | None,
    ) -> Self:
        """Build the response from a page of a list."""
        return cls(
            invoices=tuple(InvoiceSchema.of(one) for one in page),
            balances=tuple(BalanceSchema.of(one) for one in balances),
            next_cursor=next_cursor,
        )
