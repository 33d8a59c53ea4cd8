"""What of an invoice can be given back, for refunds and credit notes alike: nothing goes twice.

Both are changes of the invoice, one at a time. What Stripe has of its payments, refunds, credit
notes and disputes is mirrored first, then counted under the lock of the invoice.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from mpanel_billing import money
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import (
    ConflictError,
    InvalidRequestError,
    StripeError,
)
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.charges import list_refunds
from mpanel_billing.stripe_gateway.credit_notes import list_credit_notes
from mpanel_billing.stripe_gateway.disputes import list_disputes
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.amounts import refuse_unchargeable
from mpanel_billing.subscriptions.invoice_records import CreditNote, Invoice, Payment, Refund
from mpanel_billing.subscriptions.lookup import CustomerRef, require_invoice
from mpanel_billing.subscriptions.promise import preview_outdated
from mpanel_billing.subscriptions.repository.changes import ServiceEnd

EndService = Literal["now", "period_end", "keep"]
"""What becomes of the subscription once the money is back."""

_NOT_REFUNDABLE = frozenset({"charge_already_refunded", "charge_disputed"})


@dataclass(frozen=True, slots=True)
class Left:
    """What can still be given back of an invoice, in its minor units, and by which payments."""

    invoice: Invoice
    payments: Sequence[Payment]

    def of_payment(self, payment: Payment) -> int:
        """Return how much of a payment can be refunded: not what a credit note gave back."""
        return max(min(payment.left, self.invoice.kept), 0)

    def to_refund(self, amount: int | None) -> tuple[Payment, int]:
        """Choose the payment to refund, and the amount; None means all that is left of one.

        ConflictError if nothing is left, InvalidRequestError for more than is left of one payment,
        or for a part that Stripe does not pay in the currency.
        """
        if not self.payments:
            raise ConflictError(
                "This invoice was not paid through Stripe, so it cannot be refunded.",
                code="nothing_to_refund",
            )
        unreturned = [one for one in self.payments if one.left > 0]
        if unreturned and not any(one.is_refundable for one in unreturned):
            raise disputed()
        possible = [one for one in unreturned if one.is_refundable and self.of_payment(one) > 0]
        if not possible:
            raise already_refunded()
        wanted = self.of_payment(possible[0]) if amount is None else amount
        chosen = next((one for one in possible if self.of_payment(one) >= wanted), None)
        if chosen is None:
            raise too_much(max(map(self.of_payment, possible)), self.invoice.currency)
        if wanted != self.of_payment(chosen):
            refuse_unchargeable(wanted, self.invoice.currency)
        return chosen, wanted


def disputed() -> ConflictError:
    """Return the refusal for money that a bank has taken, or may take, back."""
    return ConflictError(
        "This payment is disputed: the bank decides who gets the money, so it cannot be refunded.",
        code="charge_disputed",
    )


def already_refunded() -> ConflictError:
    """Return the refusal for an invoice of which nothing is left."""
    return ConflictError("This invoice has already been refunded in full.", code="already_refunded")


def too_much(left: int, currency: str) -> InvalidRequestError:
    """Return the refusal of an amount beyond what is left, in minor units."""
    most = money.format_money(left, currency)
    return InvalidRequestError(
        f"At most {most} can be refunded.",
        code="refund_too_large",
        fields={"amount": f"must be at most {left}"},
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """What of an invoice was kept, and still to be paid, as it was shown; minor units."""

    kept: int
    remaining: int


def require_shown(left: Left, shown: Shown | None) -> None:
    """Raise ConflictError if an invoice is no longer as it was shown: others gave back of it."""
    if shown and shown != Shown(left.invoice.kept, left.invoice.amount_remaining):
        raise preview_outdated()


@contextmanager
def translated_refusals() -> Iterator[None]:
    """Translate Stripe's refusal of a refund, such as that of a disputed payment."""
    try:
        yield
    except StripeError as error:
        if error.stripe_code not in _NOT_REFUNDABLE:
            raise
        raise ConflictError(
            "Stripe does not allow a refund of this payment: it is disputed or already refunded.",
            code=error.stripe_code,
        ) from error


def ends_service(invoice: Invoice, wanted: EndService) -> ServiceEnd | None:
    """Return how the subscription is to end; InvalidRequestError if the invoice is for none."""
    if wanted == "keep":
        return None
    if invoice.subscription_id is None:
        raise InvalidRequestError(
            "This invoice is not for a subscription, so none can be ended with it.",
            fields={"endService": "must be keep"},
        )
    return wanted


async def refresh_money(mirror: Mirror, invoice_id: UUID, named: CustomerRef) -> Invoice:
    """Return an invoice after Stripe was asked for all that was paid and taken back of it.

    NotFoundError as in `require_invoice`; StripeError.
    """
    async with acquired(mirror.pool) as conn:
        invoice = await require_invoice(conn, mirror, invoice_id, named)
    stripe_id = invoice.stripe_invoice_id
    await mirror.refresh("invoice", stripe_id)
    async with acquired(mirror.pool) as conn:
        payments = await repository.invoices.list_payments(conn, stripe_id)
        refunds = await repository.invoices.list_refund_statuses(conn, stripe_id)
        notes = await repository.invoices.list_credit_notes(conn, stripe_id)
        disputes = await repository.invoices.list_dispute_statuses(conn, stripe_id)
    for payment in payments:
        for refund in await list_refunds(mirror.stripe, payment.payment_intent_id):
            if refunds.get(refund.id) != refund.status:
                await mirror.refresh("refund", refund.id)
        for dispute in await list_disputes(mirror.stripe, payment.payment_intent_id):
            if disputes.get(dispute.id) != dispute.status:
                await mirror.refresh("dispute", dispute.id)
    known = {note.id: note.status for note in notes}
    for note in await list_credit_notes(mirror.stripe, stripe_id):
        if known.get(note.id) != note.status:
            await mirror.refresh("credit_note", note.id)
    return invoice


async def get_left(conn: Connection, mirror: Mirror, invoice_id: UUID, named: CustomerRef) -> Left:
    """Return what is left of an invoice according to our rows; NotFoundError."""
    invoice = await require_invoice(conn, mirror, invoice_id, named)
    payments = await repository.invoices.list_payments(conn, invoice.stripe_invoice_id)
    return Left(invoice, payments)


async def list_refunds_of(mirror: Mirror, invoice_id: UUID, named: CustomerRef) -> Sequence[Refund]:
    """Return the mirrored refunds of an invoice, newest first; NotFoundError."""
    async with acquired(mirror.pool) as conn:
        invoice = await require_invoice(conn, mirror, invoice_id, named)
        return await repository.invoices.list_refunds(conn, invoice.stripe_invoice_id)


async def list_notes_of(
    mirror: Mirror, invoice_id: UUID, named: CustomerRef
) -> Sequence[CreditNote]:
    """Return the mirrored credit notes of an invoice, newest first; NotFoundError."""
    async with acquired(mirror.pool) as conn:
        invoice = await require_invoice(conn, mirror, invoice_id, named)
        return await repository.invoices.list_credit_notes(conn, invoice.stripe_invoice_id)
