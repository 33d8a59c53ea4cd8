"""What a subscription was billed for, and what became of the payments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mpanel_billing.stripe_gateway.errors import translated
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.stripe_gateway.objects import PAGE_SIZE

if TYPE_CHECKING:
    import stripe

CORRECTION = "notPaidOrGivenBack"
"""Metadata of an invoice item that takes back a credit for what was not paid and kept."""

_DECIDED_FOR_US = frozenset({"won", "warning_closed", "prevented"})
"""The statuses of a dispute after which the money is ours."""


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A line for a time of a subscription's items.

    `amount` is in minor units, after discounts and with taxes, negative for a credit; `added_tax`
    is what of it the prices do not contain. `is_correction`: it takes back such a credit.
    """

    amount: int
    start: datetime
    end: datetime
    is_correction: bool = False
    added_tax: int = 0


@dataclass(frozen=True, slots=True)
class BilledInvoice:
    """An invoice of a subscription, in minor units of `currency`.

    `lines` are those for a time of the subscription, without one-time charges. `credit_notes` says
    whether it has any after its payment, `reduced` is what those before it have taken off.
    """

    id: str
    status: str
    currency: str
    total: int
    amount_paid: int
    amount_remaining: int
    reduced: int
    has_credit_notes: bool
    payment_intents: tuple[str, ...]
    lines: tuple[BilledLine, ...]

    @property
    def is_unpaid(self) -> bool:
        """Whether something of it is still to be paid."""
        return self.status in {"draft", "open"} and self.amount_remaining > 0


@dataclass(frozen=True, slots=True)
class PaymentState:
    """A payment: whether it is under way, what was refunded, and whether it was disputed."""

    is_processing: bool
    refunded: int
    is_disputed: bool


async def list_billed(gateway: StripeGateway, subscription_id: str) -> list[BilledInvoice]:
    """Return all invoices of a subscription, drafts included, the newest first.

    Without that of a change which waits for the customer: nothing of it is owed.
    """
    async with translated():
        page = await gateway.client.v1.invoices.list_async(
            {"subscription": subscription_id, "limit": PAGE_SIZE, "expand": ["data.payments"]}
        )
        listed = [invoice async for invoice in page.auto_paging_iter()]
        waiting = await _find_waiting(gateway, subscription_id, listed)
        return [await _billed(gateway, invoice) for invoice in listed if invoice.id != waiting]


async def _find_waiting(
    gateway: StripeGateway, subscription_id: str, listed: Sequence["stripe.Invoice"]
) -> str | None:
    """Return the id of the invoice that a pending update waits for, if there is one.

    The invoice does not say so: one that is sent, debited or given up is owed, and looks the same.
    """
    if not any(_may_wait(invoice) for invoice in listed):
        return None
    held = await gateway.client.v1.subscriptions.retrieve_async(subscription_id)
    return str(held.latest_invoice) if held.pending_update else None


def _may_wait(invoice: "stripe.Invoice") -> bool:
    return invoice.status == "open" and invoice.billing_reason == "subscription_update"


async def _billed(gateway: StripeGateway, invoice: "stripe.Invoice") -> BilledInvoice:
    fields = invoice.to_dict()
    lines = [line.to_dict() async for line in invoice.lines.auto_paging_iter()]
    return BilledInvoice(
        id=fields["id"],
        status=fields["status"],
        currency=fields["currency"],
        total=fields["total"],
        amount_paid=fields["amount_paid"],
        amount_remaining=fields["amount_remaining"],
        reduced=fields.get("pre_payment_credit_notes_amount") or 0,
        has_credit_notes=bool(fields.get("post_payment_credit_notes_amount")),
        payment_intents=await find_payment_intents(gateway, fields),
        lines=tuple(_line(line) for line in lines if _is_for_a_time(line)),
    )


async def find_payment_intents(
    gateway: StripeGateway, invoice: Mapping[str, Any]
) -> tuple[str, ...]:
    """Return the payments of an invoice that carries its first ten (`expand=["payments"]`)."""
    included = invoice.get("payments") or {}
    payments = included.get("data") or []
    if included.get("has_more"):
        payments = await gateway.list_invoice_payments(invoice["id"])
    intents = [(payment.get("payment") or {}).get("payment_intent") for payment in payments]
    return tuple(one for one in intents if one)


def _is_for_a_time(line: Mapping[str, Any]) -> bool:
    """Return whether it is for a term, a proration, or a correction of one."""
    parent = line.get("parent") or {}
    of_item = parent.get("invoice_item_details") or {}
    return bool(
        parent.get("subscription_item_details")
        or of_item.get("proration")
        or CORRECTION in (line.get("metadata") or {})
    )


def added_tax(taxes: Sequence[Mapping[str, Any]] | None) -> int:
    """Return what of taxes is added to prices, in minor units."""
    return sum(int(one["amount"]) for one in taxes or () if one["tax_behavior"] == "exclusive")


def _line(line: Mapping[str, Any]) -> BilledLine:
    discounts = sum(one["amount"] for one in line.get("discount_amounts") or ())
    taxes = added_tax(line.get("taxes"))
    return BilledLine(
        amount=line["amount"] - discounts + taxes,
        added_tax=taxes,
        start=datetime.fromtimestamp(line["period"]["start"], UTC),
        end=datetime.fromtimestamp(line["period"]["end"], UTC),
        is_correction=CORRECTION in (line.get("metadata") or {}),
    )


async def get_payment_state(gateway: StripeGateway, payment_intent_id: str) -> PaymentState:
    """Return what became of a payment."""
    async with translated():
        intent = await gateway.client.v1.payment_intents.retrieve_async(
            payment_intent_id, {"expand": ["latest_charge"]}
        )
    charge = intent.to_dict().get("latest_charge") or {}
    return PaymentState(
        is_processing=intent.status == "processing",
        refunded=charge.get("amount_refunded") or 0,
        is_disputed=bool(charge.get("disputed")),
    )


async def get_disputed(gateway: StripeGateway, payment_intent_id: str) -> int:
    """Return how much of a payment is disputed and not won, in minor units.

    A dispute that is still open counts: Stripe has taken the money, and it may be lost.
    """
    async with translated():
        page = await gateway.client.v1.disputes.list_async(
            {"payment_intent": payment_intent_id, "limit": PAGE_SIZE}
        )
    return sum(int(one.amount) for one in page.data if one.status not in _DECIDED_FOR_US)


async def get_credited(gateway: StripeGateway, invoice_id: str) -> int:
    """Return what credit notes gave back after the payment, without their refunds (minor units)."""
    async with translated():
        page = await gateway.client.v1.credit_notes.list_async(
            {"invoice": invoice_id, "limit": PAGE_SIZE}
        )
        notes = [note.to_dict() async for note in page.auto_paging_iter()]
    return sum(_beyond_refunds(note) for note in notes if note["status"] == "issued")


def _beyond_refunds(note: Mapping[str, Any]) -> int:
    if note.get("type") == "pre_payment":
        return 0
    refunds = sum(int(one["amount_refunded"]) for one in note.get("refunds") or ())
    return int(note["total"]) - refunds
