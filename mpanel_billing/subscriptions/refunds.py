"""Give money back for an invoice, all of it or a part."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from mpanel_billing import money
from mpanel_billing.access.actor import Actor
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import (
    BillingError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    StripeError,
)
from mpanel_billing.mirror.types.refund import NOTHING_GIVEN
from mpanel_billing.stripe_gateway.refunds import CHANGE_ID, create_refund, list_refunds
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.customers import Named
from mpanel_billing.subscriptions.desk import ServiceDesk
from mpanel_billing.subscriptions.holdings import Invoice, Payment, Refund
from mpanel_billing.subscriptions.invoices import require_invoice
from mpanel_billing.subscriptions.repository import Change
from mpanel_billing.subscriptions.stripe_requests import Wish, carry_out

Reason = Literal["duplicate", "fraudulent", "requested_by_customer"]

REPEATABLE_FOR = timedelta(minutes=10)
"""So long the same refund again, without a key, is a slip: money given twice does not come back."""

_NOT_REFUNDABLE = frozenset({"charge_already_refunded", "charge_disputed"})


@dataclass(frozen=True, slots=True)
class RefundWish:
    """Who wants how much of which invoice given back, and why; `key` is his name for the request.

    `amount` is minor units of the invoice's currency, None all that is left.
    """

    by: Actor
    invoice_id: UUID
    named: Named
    amount: int | None = None
    reason: Reason | None = None
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Refunded:
    """A refund, and the invoice after it."""

    refund: Refund
    invoice: Invoice


async def refund_invoice(desk: ServiceDesk, wish: RefundWish) -> Refunded:
    """Give back what was paid, never more; a repeated request does nothing again.

    ConflictError where nothing is left to give back, InvalidRequestError for more than is left;
    NotFoundError, StripeError.
    """
    invoice = await _refresh(desk, wish)

    async def plan(conn: Connection) -> Mapping[str, Any]:
        payments = await repository.list_payments(conn, invoice.stripe_invoice_id)
        return _params(invoice, payments, wish)

    async def ask(change: Change) -> str:
        return await _ask(desk, change)

    request = {"amount": wish.amount, "reason": wish.reason}
    asked = Wish("refund", invoice.id, request, wish.key, REPEATABLE_FOR)
    try:
        change = await carry_out(desk, wish.by, asked, plan, ask)
    except StripeError as error:
        raise _in_our_words(error) from error
    return await _result(desk, wish, change)


async def _refresh(desk: ServiceDesk, wish: RefundWish) -> Invoice:
    """Return the invoice; what we know of its payments and refunds is as Stripe has it now."""
    async with acquired(desk.pool) as conn:
        invoice = await require_invoice(conn, desk, wish.invoice_id, wish.named)
    await desk.mirror.refresh("invoice", invoice.stripe_invoice_id)
    async with acquired(desk.pool) as conn:
        payments = await repository.list_payments(conn, invoice.stripe_invoice_id)
        known = await repository.list_refund_statuses(conn, invoice.stripe_invoice_id)
    for payment in payments:
        for refund in await list_refunds(desk.gateway, payment.payment_intent_id):
            if known.get(refund.id) != refund.status:
                await _mirror(desk, refund.id)
    return invoice


async def _mirror(desk: ServiceDesk, refund_id: str) -> None:
    await desk.mirror.refresh("refund", refund_id)


def _params(invoice: Invoice, payments: Sequence[Payment], wish: RefundWish) -> dict[str, Any]:
    """Decide which payment is given back, and how much of it."""
    refundable = [payment for payment in payments if payment.left > 0]
    if not payments:
        raise ConflictError(
            "Nothing was paid for this invoice through Stripe, so nothing can be given back.",
            code="nothing_to_refund",
        )
    if not refundable:
        raise ConflictError(
            "All that was paid for this invoice has been given back.", code="already_refunded"
        )
    amount = wish.amount if wish.amount is not None else refundable[0].left
    payment = next((one for one in refundable if one.left >= amount), None)
    if payment is None:
        raise _too_much(max(one.left for one in refundable), invoice.currency)
    params: dict[str, Any] = {"payment_intent": payment.payment_intent_id, "amount": amount}
    return params | ({"reason": wish.reason} if wish.reason else {})


def _too_much(left: int, currency: str) -> InvalidRequestError:
    most = money.format_money(left, currency)
    return InvalidRequestError(
        f"At most {most} can be given back.",
        code="refund_too_large",
        fields={"amount": f"must be at most {left}"},
    )


async def _ask(desk: ServiceDesk, change: Change) -> str:
    """Have Stripe give it back; after a failure of Stripe's, look first whether it has.

    Should Stripe not answer any more once it has, the change stays unanswered: asked for again, it
    has the same key, and so the same refund.
    """
    refund_id = await _made_before(desk, change) if change.attempt > 1 else None
    if refund_id is None:
        params = {**change.params, "metadata": {CHANGE_ID: str(change.id)}}
        refund_id = await create_refund(desk.gateway, params, change.idempotency_key)
    await _mirror(desk, refund_id)
    return refund_id


async def _made_before(desk: ServiceDesk, change: Change) -> str | None:
    made = await list_refunds(desk.gateway, change.params["payment_intent"])
    return next(
        (
            refund.id
            for refund in made
            if refund.change_id == str(change.id) and refund.status not in NOTHING_GIVEN
        ),
        None,
    )


def _in_our_words(error: StripeError) -> BillingError:
    """Stripe knows best what can be given back: a disputed payment, for one, cannot."""
    if error.stripe_code not in _NOT_REFUNDABLE:
        return error
    return ConflictError(
        "Stripe does not let this payment be given back: it is disputed, or was given back "
        "already.",
        code=error.stripe_code,
    )


async def _result(desk: ServiceDesk, wish: RefundWish, change: Change | None) -> Refunded:
    async with acquired(desk.pool) as conn:
        invoice = await require_invoice(conn, desk, wish.invoice_id, wish.named)
        refund_id = change.stripe_id if change else None
        refund = await repository.get_refund(conn, refund_id) if refund_id else None
    if refund is None:
        raise NotFoundError("This refund is no longer on record.", code="unknown_refund")
    return Refunded(refund, invoice)
