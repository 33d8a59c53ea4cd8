"""Refund an invoice, in full or in part, and end its subscription with it if that is wanted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from mpanel_billing.access.audit import Actor
from mpanel_billing.access.ceilings import counted_refunds
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import BillingError, NotFoundError, StripeError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.types.refund import NOTHING_GIVEN
from mpanel_billing.stripe_gateway.charges import CHANGE_ID, create_refund, list_refunds
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.invoice_records import Invoice, Refund
from mpanel_billing.subscriptions.lookup import CustomerRef, require_invoice
from mpanel_billing.subscriptions.money_back import (
    EndService,
    Shown,
    ends_service,
    get_left,
    refresh_money,
    require_shown,
    translated_refusals,
)
from mpanel_billing.subscriptions.repository.changes import Change
from mpanel_billing.subscriptions.requested_changes import REPEATABLE_FOR, StripeRequest
from mpanel_billing.subscriptions.service_ends import end_with
from mpanel_billing.subscriptions.stripe_requests import make_once

Reason = Literal["duplicate", "fraudulent", "requested_by_customer"]


@dataclass(frozen=True, slots=True)
class RequestedRefund:
    """Who refunds how much of which invoice, and why; `key` is the client's idempotency key.

    `amount` is in minor units of the invoice's currency; None means all that is left. `shown`: only
    if the invoice is still like that.
    """

    by: Actor
    invoice_id: UUID
    named: CustomerRef
    amount: int | None = None
    reason: Reason | None = None
    end_service: EndService = "keep"
    key: str | None = None
    shown: Shown | None = None


@dataclass(frozen=True, slots=True)
class Refunded:
    """A refund and the invoice after it; `service_end`: the subscription is, or will be, ended."""

    refund: Refund
    invoice: Invoice
    service_end: Literal["done", "pending"] | None = None


@dataclass(frozen=True, slots=True)
class RefundPreview:
    """What a refund would give back, in minor units, and what would be left of the invoice."""

    amount: int
    currency: str
    left: int
    invoice: Invoice


async def preview_refund(mirror: Mirror, request: RequestedRefund) -> RefundPreview:
    """Return what a refund would do; changes nothing. Errors as in `refund_invoice`."""
    invoice = await refresh_money(mirror, request.invoice_id, request.named)
    ends_service(invoice, request.end_service)
    async with acquired(mirror.pool) as conn:
        left = await get_left(conn, mirror, request.invoice_id, request.named)
    _, amount = left.to_refund(request.amount)
    kept = left.invoice.kept - amount
    return RefundPreview(amount, invoice.currency, kept, left.invoice)


async def refund_invoice(mirror: Mirror, request: RequestedRefund) -> Refunded:
    """Refund at most what was paid and kept; a repeated request has no further effect.

    ConflictError if nothing is left to refund, if it is disputed, or not as it was shown;
    InvalidRequestError for more than is left, RefundCeilingError for more than the key may refund
    in a day; NotFoundError, StripeError.
    """
    invoice = await refresh_money(mirror, request.invoice_id, request.named)
    end_service = ends_service(invoice, request.end_service)

    async def decide(conn: Connection) -> Mapping[str, Any]:
        left = await get_left(conn, mirror, request.invoice_id, request.named)
        require_shown(left, request.shown)
        payment, amount = left.to_refund(request.amount)
        await counted.count(conn, amount)
        reason = {"reason": request.reason} if request.reason else {}
        return {"payment_intent": payment.payment_intent_id, "amount": amount, **reason}

    async def send(change: Change) -> str:
        return await _send(mirror, change)

    asked = {"amount": request.amount, "reason": request.reason}
    wanted = StripeRequest("refund", invoice.id, asked, request.key, REPEATABLE_FOR, end_service)
    with translated_refusals():
        async with counted_refunds(mirror.pool, request.by, invoice.currency) as counted:
            change = await make_once(mirror, request.by, wanted, decide, send, find=find_in_stripe)
    service_end = await end_with(mirror, request.by, change)
    return await _result(mirror, request, change, service_end)


async def _send(mirror: Mirror, change: Change) -> str:
    """Create the refund in Stripe; after an earlier failure, first look whether it exists.

    If Stripe's response is lost, the change stays unfinished; requested again, it has the same
    idempotency key, and Stripe returns the same refund.
    """
    refund_id = await find_in_stripe(mirror, change) if change.attempt > 1 else None
    if refund_id is None:
        params = {**change.params, "metadata": {CHANGE_ID: str(change.id)}}
        refund_id = await create_refund(mirror.stripe, params, change.idempotency_key)
    await mirror.refresh("refund", refund_id)
    return refund_id


async def find_in_stripe(mirror: Mirror, change: Change) -> str | None:
    """Return the refund that an earlier attempt of the change has made, if any."""
    made = await list_refunds(mirror.stripe, change.params["payment_intent"])
    return next(
        (
            refund.id
            for refund in made
            if refund.change_id == str(change.id) and refund.status not in NOTHING_GIVEN
        ),
        None,
    )


async def _result(
    mirror: Mirror,
    request: RequestedRefund,
    change: Change | None,
    service_end: Literal["done", "pending"] | None,
) -> Refunded:
    async with acquired(mirror.pool) as conn:
        invoice = await require_invoice(conn, mirror, request.invoice_id, request.named)
        refund_id = change.stripe_id if change else None
        refund = await repository.invoices.get_refund(conn, refund_id) if refund_id else None
    if refund is None:
        raise NotFoundError("This refund is no longer on record.", code="unknown_refund")
    return Refunded(refund, invoice, service_end)


def may_succeed_later(error: BillingError) -> bool:
    """Whether a refund was not refused for good; a wrong key is no refusal of it."""
    if error.retry_after is not None:  # another change of the invoice runs, or was killed
        return True
    return isinstance(error, StripeError) and (
        not error.definite or error.code == "stripe_key_refused"
    )
