"""What is done about an invoice: finalize, pay, write off. Stripe does it, our rows follow."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from mpanel_billing.access.audit import Actor
from mpanel_billing.database.pool import acquired
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import (
    ConflictError,
    InvalidRequestError,
    PaymentFailedError,
    StripeObjectMissingError,
)
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.drafts import delete_draft
from mpanel_billing.stripe_gateway.invoices import (
    InvoiceSums,
    UpcomingInvoice,
    act_on_invoice,
    get_sums,
    preview_upcoming,
)
from mpanel_billing.subscriptions import repository
from mpanel_billing.subscriptions.invoice_records import Attempt, Invoice, Tax
from mpanel_billing.subscriptions.lookup import (
    CustomerRef,
    get_invoice,
    get_subscription,
    require_invoice,
)
from mpanel_billing.subscriptions.payers import find_card
from mpanel_billing.subscriptions.promise import preview_outdated
from mpanel_billing.subscriptions.repository.changes import Change
from mpanel_billing.subscriptions.requested_changes import StripeRequest
from mpanel_billing.subscriptions.stripe_requests import carry_out

Verb = Literal[
    "finalize_invoice",
    "pay_invoice",
    "mark_paid",
    "void_invoice",
    "mark_uncollectible",
    "delete_invoice",
]
"""What can be done about an invoice."""

_FROM: Mapping[Verb, frozenset[str]] = {
    "finalize_invoice": frozenset({"draft"}),
    "pay_invoice": frozenset({"open", "uncollectible"}),
    "mark_paid": frozenset({"open", "uncollectible"}),
    "void_invoice": frozenset({"open", "uncollectible"}),
    "mark_uncollectible": frozenset({"open"}),
    "delete_invoice": frozenset({"draft"}),
}
"""The statuses of an invoice in which Stripe does it."""

_DONE: Mapping[Verb, frozenset[str]] = {
    "finalize_invoice": frozenset({"open", "paid"}),
    "pay_invoice": frozenset({"paid"}),
    "mark_paid": frozenset({"paid"}),
    "void_invoice": frozenset({"void"}),
    "mark_uncollectible": frozenset({"uncollectible"}),
    "delete_invoice": frozenset({"deleted"}),
}
"""The statuses after it."""

_REASON = "reason"
"""Among the params of a change: why, for the record."""


@dataclass(frozen=True, slots=True)
class InvoiceRequest:
    """Who asks for what about which invoice; `key` is the client's idempotency key.

    `payment_method` (pm_...) pays it instead of the customer's own; `reason` is for the record.
    `owed`: only if this is still to be paid.
    """

    by: Actor
    verb: Verb
    invoice_id: UUID
    named: CustomerRef
    payment_method: str | None = None
    reason: str | None = None
    key: str | None = None
    owed: int | None = None


@dataclass(frozen=True, slots=True)
class InvoiceDetails:
    """An invoice with its lines and taxes, and the attempts to collect it, the oldest first."""

    invoice: Invoice
    sums: InvoiceSums
    taxes: Sequence[Tax]
    attempts: Sequence[Attempt]


@dataclass(frozen=True, slots=True)
class ActedOn:
    """An invoice after a request; `changed` is false if it was already as requested."""

    invoice: Invoice
    changed: bool


async def get_details(mirror: Mirror, invoice_id: UUID, named: CustomerRef) -> InvoiceDetails:
    """Return an invoice with its lines, as Stripe has them now; NotFoundError, StripeError."""
    invoice = await get_invoice(mirror, invoice_id, named)
    sums = await get_sums(mirror.stripe, invoice.stripe_invoice_id)
    async with acquired(mirror.pool) as conn:
        taxes = await repository.invoices.list_taxes(conn, invoice.id)
        attempts = await repository.invoices.list_attempts(conn, sums.payment_intents)
    return InvoiceDetails(invoice, sums, taxes, attempts)


async def get_upcoming(
    mirror: Mirror, subscription_id: UUID, named: CustomerRef
) -> UpcomingInvoice | None:
    """Return a subscription's next invoice, as Stripe foresees it; None: it has none.

    Stripe foresees one while the collection is paused, too, but nobody will be charged with it.
    NotFoundError, StripeError.
    """
    held = await get_subscription(mirror, subscription_id, named)
    if held.is_over or held.stripe_id is None or held.collection_paused:
        return None
    return await preview_upcoming(mirror.stripe, held.stripe_id)


async def get_pdf(mirror: Mirror, invoice_id: UUID, named: CustomerRef) -> str:
    """Return a fresh link to the PDF of an invoice: Stripe's links expire.

    ConflictError for a draft, which has none; NotFoundError, StripeError.
    """
    invoice = await get_invoice(mirror, invoice_id, named)
    fetched = await mirror.refresh("invoice", invoice.stripe_invoice_id)
    link: str | None = fetched.get("invoice_pdf")
    if link is None:
        raise ConflictError(
            "This invoice has no PDF: Stripe makes it when a draft is finalized.",
            code="invoice_status",
        )
    return link


async def act(mirror: Mirror, request: InvoiceRequest) -> ActedOn:
    """Have Stripe do it; a repeated request has no further effect.

    ConflictError for an invoice whose status does not allow it, or of which something else is
    `owed`, InvalidRequestError for an unknown payment method, NotFoundError, PaymentFailedError,
    StripeError.
    """
    deletes = request.verb == "delete_invoice"
    invoice = await get_invoice(mirror, request.invoice_id, request.named, or_deleted=deletes)
    stripe_id = invoice.stripe_invoice_id
    fetched = await mirror.refresh_or_bury("invoice", stripe_id)
    card = request.payment_method or await _card_of(mirror, request, invoice, fetched)

    async def decide(conn: Connection) -> Mapping[str, Any] | None:
        now = await require_invoice(
            conn, mirror, request.invoice_id, request.named, or_deleted=deletes
        )
        return _params(now, request, card)

    async def send(change: Change) -> None:
        params = {name: value for name, value in change.params.items() if name != _REASON}
        await _send(mirror, change, stripe_id, params)

    asked = {"payment_method": request.payment_method, "reason": request.reason}
    wanted = StripeRequest(request.verb, request.invoice_id, asked, request.key)
    with _naming_the_card():
        change = await carry_out(mirror, request.by, wanted, decide, send)
    after = await get_invoice(mirror, request.invoice_id, request.named, or_deleted=deletes)
    return ActedOn(after, changed=change is not None)


@contextmanager
def _naming_the_card() -> Iterator[None]:
    """Say which field is wrong if Stripe does not know the payment method; InvalidRequestError."""
    try:
        yield
    except StripeObjectMissingError as missing:
        if missing.param != "payment_method":
            raise
        raise InvalidRequestError(
            "Stripe has no such payment method. Nothing was charged.",
            fields={"paymentMethodId": "is not a payment method of this customer"},
        ) from missing


async def _card_of(
    mirror: Mirror,
    request: InvoiceRequest,
    invoice: Invoice,
    fetched: Mapping[str, Any] | None,
) -> str | None:
    """Return the card to name when it is paid; None: Stripe knows it, or nothing is to be paid."""
    if request.verb != "pay_invoice" or fetched is None or invoice.customer_id is None:
        return None
    if fetched["status"] not in _FROM[request.verb]:
        return None
    return await find_card(mirror, fetched, invoice.customer_id)


def _params(invoice: Invoice, request: InvoiceRequest, card: str | None) -> dict[str, Any] | None:
    if invoice.stripe_status in _DONE[request.verb]:
        return None
    require_possible(invoice, request.verb)
    if request.owed not in {None, invoice.amount_remaining}:
        raise preview_outdated()
    params: dict[str, Any] = {_REASON: request.reason} if request.reason else {}
    if card:
        params["payment_method"] = card
    if request.verb == "finalize_invoice":
        params["auto_advance"] = True  # one made by hand does not advance by itself
    if request.verb == "mark_paid":
        params["paid_out_of_band"] = True
    return params


def require_possible(invoice: Invoice, verb: Verb) -> None:
    """Raise ConflictError unless the status of an invoice, as we know it, allows it."""
    if invoice.stripe_status not in _FROM[verb]:
        raise ConflictError(
            f"This invoice is {invoice.stripe_status}, so that cannot be done with it.",
            code="invoice_status",
        )


async def _send(mirror: Mirror, change: Change, stripe_id: str, params: Mapping[str, Any]) -> None:
    if change.kind == "delete_invoice":
        with suppress(StripeObjectMissingError):  # deleted before, and the response was lost
            await delete_draft(mirror.stripe, stripe_id)
        await mirror.refresh_or_bury("invoice", stripe_id)
        return
    try:
        await act_on_invoice(mirror.stripe, change.kind, stripe_id, params, change.idempotency_key)
    except PaymentFailedError:
        await mirror.refresh("invoice", stripe_id)
        raise
    fetched = await mirror.refresh("invoice", stripe_id)
    parent = (fetched.get("parent") or {}).get("subscription_details") or {}
    if subscription := parent.get("subscription"):
        await mirror.refresh("subscription", str(subscription))
