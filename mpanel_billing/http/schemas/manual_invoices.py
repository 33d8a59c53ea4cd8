"""Bodies for invoices made by hand, and for those to come. Amounts are in minor units."""

from typing import Annotated, Self

from pydantic import Field

from mpanel_billing.http.schemas.balances import PayerRequest
from mpanel_billing.http.schemas.base import Line, Moment, Response, Schema, StrictRequest
from mpanel_billing.http.schemas.invoices import Amount, InvoiceLineSchema, Note
from mpanel_billing.stripe_gateway.invoices import UpcomingInvoice
from mpanel_billing.subscriptions.manual_invoices import (
    LONGEST_TERM_DAYS,
    MOST_LINES,
    MOST_PIECES,
    NewLine,
)


class NewLineRequest(StrictRequest):
    """A line of a new invoice: `unitAmount` is before taxes that are added to it."""

    description: Annotated[Line, Field(min_length=1, max_length=500)]
    unit_amount: Amount
    quantity: Annotated[int, Field(strict=True, ge=1, le=MOST_PIECES)] = 1

    @property
    def line(self) -> NewLine:
        """The line."""
        return NewLine(self.description, self.unit_amount, self.quantity)


class NewInvoiceRequest(PayerRequest):
    """What a customer is billed for. `memo` is printed on the invoice, `reason` is for the record.

    With `daysUntilDue` the finalized invoice is sent to the customer; without it their card is
    charged. With `subscriptionId` it is taxed as that subscription is.
    """

    lines: Annotated[tuple[NewLineRequest, ...], Field(min_length=1, max_length=MOST_LINES)]
    days_until_due: Annotated[int, Field(strict=True, ge=0, le=LONGEST_TERM_DAYS)] | None = None
    memo: Annotated[Line, Field(min_length=1, max_length=500)] | None = None
    reason: Note | None = None


class InvoicePdfResponse(Response):
    """Stripe's link to the PDF of an invoice; it expires."""

    url: str


class UpcomingInvoiceSchema(Schema):
    """An invoice that is still to come, as Stripe foresees it now.

    The customer's `balance` is applied to `total` (negative: taken off); `amountDue` is charged
    `at` that time.
    """

    at: Moment
    currency: str
    subtotal: int
    discount: int
    tax: int
    tax_included: int
    total: int
    balance: int
    amount_due: int
    lines: tuple[InvoiceLineSchema, ...]

    @classmethod
    def of(cls, upcoming: UpcomingInvoice) -> Self:
        """Build the object from Stripe's preview."""
        sums = upcoming.sums
        return cls(
            at=upcoming.at,
            currency=sums.currency,
            subtotal=sums.subtotal,
            discount=sums.discount,
            tax=sums.tax,
            tax_included=sums.tax_included,
            total=sums.total,
            balance=upcoming.balance,
            amount_due=upcoming.amount_due,
            lines=tuple(InvoiceLineSchema.of(line) for line in sums.lines),
        )


class UpcomingInvoiceResponse(Response):
    """The next invoice of a subscription; null if it is not billed again as it stands."""

    upcoming_invoice: UpcomingInvoiceSchema | None
