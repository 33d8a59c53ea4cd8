"""Refund an invoice, in full or in part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from mpanel_billing import money
from mpanel_billing.access.audit import Actor
from mpanel_billing.access.ceilings import count_refund, give_back_refund
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import (
    BillingError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    StripeError,
)
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.types.refund import NOTHING_GIVEN
from mpanel_billing.stripe_gateway.charges import CHANGE_ID, create_refund, list_refunds
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.lookup import CustomerRef, require_invoice
from mpanel_billing.subscriptions.records import Invoice, Payment, Refund
from mpanel_billing.subscriptions.repository import Change
from mpanel_billing.subscriptions.stripe_requests import StripeRequest, carry_out

Reason = Literal["duplicate", "fraudulent", "requested_by_customer"]

REPEATABLE_FOR = timedelta(minutes=10)
"""Within this time the same refund without a key counts as an accidental repeat."""

_NOT_REFUNDABLE = frozenset({"charge_already_refunded", "charge_disputed"})


@dataclass(frozen=True, slots=True)
class RequestedRefund:
    """Who refunds how much of which invoice, and why; `key` is the client's idempotency key.

    `amount` is in minor units of the invoice's currency; None means all that is left.
    """

    by: Actor
    invoice_id: UUID
    named: CustomerRef
    amount: int | None = None
    reason: Reason | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Refunded:
    """A refund and the invoice after it."""

    refund: Refund
    invoice: Invoice


async def refund_invoice(mirror: Mirror, request: RequestedRefund) -> Refunded:
    """Refund at most what was paid; a repeated request has no further effect.

    ConflictError if nothing is left to refund, InvalidRequestError for more than is left,
    RefundCeilingError for more than the key may refund in a day; NotFoundError, StripeError.
    """
    invoice = await _refresh(mirror, request)
    counted: list[int] = []

    async def decide(conn: Connection) -> Mapping[str, Any]:
        payments = await repository.list_payments(conn, invoice.stripe_invoice_id)
        params = _params(invoice, payments, request)
        await count_refund(conn, request.by, params["amount"], invoice.currency)
        counted.append(params["amount"])
        return params

    async def send(change: Change) -> str:
        return await _send(mirror, change)

    asked = {"amount": request.amount, "reason": request.reason}
    wanted = StripeRequest("refund", invoice.id, asked, request.key, REPEATABLE_FOR)
    try:
        change = await carry_out(mirror, request.by, wanted, decide, send)
    except StripeError as error:
        if error.definite:
            await give_back_refund(mirror.pool, request.by, sum(counted), invoice.currency)
        raise _translated(error) from error
    return await _result(mirror, request, change)


async def _refresh(mirror: Mirror, request: RequestedRefund) -> Invoice:
    """Return the invoice, after its payments and refunds have been refreshed from Stripe."""
    async with acquired(mirror.pool) as conn:
        invoice = await require_invoice(conn, mirror, request.invoice_id, request.named)
    await mirror.refresh("invoice", invoice.stripe_invoice_id)
    async with acquired(mirror.pool) as conn:
        payments = await repository.list_payments(conn, invoice.stripe_invoice_id)
        known = await repository.list_refund_statuses(conn, invoice.stripe_invoice_id)
    for payment in payments:
        for refund in await list_refunds(mirror.stripe, payment.payment_intent_id):
            if known.get(refund.id) != refund.status:
                await mirror.refresh("refund", refund.id)
    return invoice


def _params(
    invoice: Invoice, payments: Sequence[Payment], request: RequestedRefund
) -> dict[str, Any]:
    """Choose the payment to refund, and the amount."""
    refundable = [payment for payment in payments if payment.left > 0]
    if not payments:
        raise ConflictError(
            "This invoice was not paid through Stripe, so it cannot be refunded.",
            code="nothing_to_refund",
        )
    if not refundable:
        raise ConflictError(
            "This invoice has already been refunded in full.", code="already_refunded"
        )
    amount = request.amount if request.amount is not None else refundable[0].left
    payment = next((one for one in refundable if one.left >= amount), None)
    if payment is None:
        raise _too_much(max(one.left for one in refundable), invoice.currency)
    params: dict[str, Any] = {"payment_intent": payment.payment_intent_id, "amount": amount}
    return params | ({"reason": request.reason} if request.reason else {})


def _too_much(left: int, currency: str) -> InvalidRequestError:
    most = money.format_money(left, currency)
    return InvalidRequestError(
        f"At most {most} can be refunded.",
        code="refund_too_large",
        fields={"amount": f"must be at most {left}"},
    )


async def _send(mirror: Mirror, change: Change) -> str:
    """Create the refund in Stripe; after an earlier failure, first look whether it exists.

    If Stripe's response is lost, the change stays unfinished; requested again, it has the same
    idempotency key, and Stripe returns the same refund.
    """
    refund_id = await _made_before(mirror, change) if change.attempt > 1 else None
    if refund_id is None:
        params = {**change.params, "metadata": {CHANGE_ID: str(change.id)}}
        refund_id = await create_refund(mirror.stripe, params, change.idempotency_key)
    await mirror.refresh("refund", refund_id)
    return refund_id


async def _made_before(mirror: Mirror, change: Change) -> str | None:
    made = await list_refunds(mirror.stripe, change.params["payment_intent"])
    return next(
        (
            refund.id
            for refund in made
            if refund.change_id == str(change.id) and refund.status not in NOTHING_GIVEN
        ),
        None,
    )


def _translated(error: StripeError) -> BillingError:
    """Translate Stripe's refusal of a refund, such as that of a disputed payment."""
    if error.stripe_code not in _NOT_REFUNDABLE:
        return error
    return ConflictError(
        "Stripe does not allow a refund of this payment: it is disputed or already refunded.",
        code=error.stripe_code,
    )


async def _result(mirror: Mirror, request: RequestedRefund, change: Change | None) -> Refunded:
    async with acquired(mirror.pool) as conn:
        invoice = await require_invoice(conn, mirror, request.invoice_id, request.named)
        refund_id = change.stripe_id if change else None
        refund = await repository.get_refund(conn, refund_id) if refund_id else None
    if refund is None:
        raise NotFoundError("This refund is no longer on record.", code="unknown_refund")
    return Refunded(refund, invoice)
