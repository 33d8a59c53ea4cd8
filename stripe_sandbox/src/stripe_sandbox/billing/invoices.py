"""The lifecycle of an invoice: draft, open, paid, void or uncollectible."""

from collections.abc import Iterable
from dataclasses import dataclass

from stripe_sandbox.billing import payments
from stripe_sandbox.billing.customer_balance import change_balance
from stripe_sandbox.billing.invoice_amounts import (
    automatic_tax,
    sums,
    take_discounts,
    tax_again,
)
from stripe_sandbox.billing.late_usage import bill_late_usage
from stripe_sandbox.billing.line_taxes import tax_automatically, tax_lines
from stripe_sandbox.billing.lines import item_line, pending_items
from stripe_sandbox.billing.periods import DAY, HOUR
from stripe_sandbox.billing.tax_ids import as_shown, tax_ids_of
from stripe_sandbox.billing.tax_locations import unknown_location
from stripe_sandbox.documents import Document, ReadOnly, list_object
from stripe_sandbox.errors import ApiError, invalid
from stripe_sandbox.world import World

BLANK: ReadOnly = {
    "object": "invoice",
    "account_country": "US",
    "account_name": "Sandbox",
    "amount_paid": 0,
    "amount_shipping": 0,
    "attempt_count": 0,
    "attempted": False,
    "auto_advance": True,
    "automatic_tax": {"enabled": False},
    "collection_method": "charge_automatically",
    "default_tax_rates": [],
    "issuer": {"type": "self"},
    "livemode": False,
    "metadata": {},
    "payment_settings": {},
    "post_payment_credit_notes_amount": 0,
    "pre_payment_credit_notes_amount": 0,
    "status": "draft",
    "status_transitions": {},
}
"""Initial fields of an invoice."""


@dataclass(frozen=True)
class NewInvoice:
    """The contents of an invoice.

    `reason` is Stripe's `billing_reason`; `period` is the invoice's own, not that of its lines.
    """

    customer: ReadOnly
    currency: str
    reason: str
    lines: list[Document]
    period: tuple[int, int]
    subscription: ReadOnly | None = None
    discounts: tuple[str, ...] = ()
    collection_method: str | None = None
    days_until_due: int | None = None
    default_tax_rates: tuple[ReadOnly, ...] = ()
    automatic_tax: bool = False

    def is_taxed_automatically(self) -> bool:
        """Return whether taxes come by themselves: the invoice says so, or its subscription."""
        held = self.subscription
        return self.automatic_tax or bool(held and held["automatic_tax"]["enabled"])

    def rates(self) -> list[ReadOnly]:
        """Return the default tax rates: the invoice's own, or those of its subscription."""
        held = self.subscription["default_tax_rates"] if self.subscription else None
        return list(self.default_tax_rates or held or [])


def pull_pending_items(
    world: World, customer: ReadOnly, subscription_id: str | None, currency: str
) -> list[Document]:
    """Return the lines of the pending invoice items."""
    items = pending_items(world, customer["id"], subscription_id, currency)
    return [item_line(world, item) for item in items]


def draft_invoice(world: World, bill: NewInvoice, *, auto_advance: bool = True) -> Document:
    """Store a draft invoice and announce it.

    With `auto_advance` it is finalized and collected an hour later.
    """
    invoice_id = world.ids.next("in")
    for line in bill.lines:
        _take_item(world, line, invoice_id)
    draft = assemble_invoice(world, bill, invoice_id)
    draft["auto_advance"] = auto_advance
    draft["automatically_finalizes_at"] = draft["created"] + HOUR if auto_advance else None
    invoice = world.add(draft)
    world.announce("invoice.created", invoice)
    return invoice


def assemble_invoice(
    world: World, bill: NewInvoice, invoice_id: str, *, due_at: int | None = None
) -> Document:
    """Return a draft invoice without storing it, and without the fields that it does not set.

    `due_at` is the time of its first payment attempt, for a preview.
    """
    for line in bill.lines:
        line["invoice"] = invoice_id
    taken = take_discounts(world, bill.lines, bill.discounts)
    taxed = _tax(world, bill)
    return {
        **BLANK,
        "id": invoice_id,
        "automatic_tax": taxed,
        "billing_reason": bill.reason,
        **_collection(world, bill, due_at),
        "created": due_at or world.time_of(bill.customer),
        "currency": bill.currency,
        "default_tax_rates": bill.rates(),
        "discounts": list(bill.discounts),
        "lines": list_object(bill.lines, f"/v1/invoices/{invoice_id}/lines"),
        "next_payment_attempt": due_at + HOUR if due_at else None,
        "parent": _parent(bill.subscription),
        "payment_settings": _payment_settings(bill.subscription),
        "period_end": bill.period[1],
        "period_start": bill.period[0],
        "test_clock": world.clock_of(bill.customer),
        **_bill_to(world, bill.customer),
        **sums(bill.lines, taken, bill.customer["balance"] or 0, bill.currency),
    }


def _tax(world: World, bill: NewInvoice) -> Document:
    """Add taxes to the lines; return the invoice's `automatic_tax`."""
    if bill.is_taxed_automatically():
        known = tax_automatically(world, bill.lines, bill.customer, bill.subscription)
        return automatic_tax(enabled=True, known=known)
    tax_lines(world, bill.lines, bill.customer, bill.subscription, bill.rates())
    return automatic_tax(enabled=False)


def _collection(world: World, bill: NewInvoice, due_at: int | None) -> Document:
    """Return how the invoice is collected: as told, or as its subscription's are."""
    holder = bill.subscription or {"collection_method": "charge_automatically"}
    method = bill.collection_method or holder["collection_method"]
    days = holder.get("days_until_due") if bill.days_until_due is None else bill.days_until_due
    created = due_at or world.time_of(bill.customer)
    due = created + days * DAY if method == "send_invoice" and days is not None else None
    return {"collection_method": method, "due_date": due}


def _take_item(world: World, line: ReadOnly, invoice_id: str) -> None:
    details = line["parent"]["invoice_item_details"]
    if details:
        item = world.find("invoiceitem", details["invoice_item"])
        item["invoice"] = invoice_id
        world.keep(item)


def _bill_to(world: World, customer: ReadOnly) -> Document:
    return {
        "customer": customer["id"],
        "customer_address": customer["address"],
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "customer_phone": customer["phone"],
        "customer_shipping": customer["shipping"],
        "customer_tax_exempt": customer["tax_exempt"],
        "customer_tax_ids": as_shown(tax_ids_of(world, customer["id"])),
    }


def _payment_settings(subscription: ReadOnly | None) -> Document:
    """Return how the invoice may be paid: as its subscription says."""
    settings = subscription["payment_settings"] if subscription else {}
    names = ("payment_method_options", "payment_method_types")
    return {name: settings.get(name) for name in names}


def _parent(subscription: ReadOnly | None) -> Document | None:
    if subscription is None:
        return None
    details = {"metadata": subscription["metadata"], "subscription": subscription["id"]}
    return {"subscription_details": details, "type": "subscription_details"}


def finalize_invoice(world: World, invoice: Document, *, opens_payment: bool = True) -> Document:
    """Finalize a draft; if nothing is due, it is paid at once.

    Without `opens_payment` it is paid with an intent that there is already. Raises ApiError if the
    invoice is not a draft.
    """
    if invoice["status"] != "draft":
        raise invalid("This invoice is already finalized, you can't re-finalize it.")
    now = world.time_of(invoice)
    _bring_up_to_date(world, invoice)
    if invoice["due_date"] is not None:
        invoice["due_date"] = max(invoice["due_date"] - invoice["created"] + now, now)
    invoice |= {
        "automatically_finalizes_at": None,
        "effective_at": now,
        "hosted_invoice_url": f"{world.base_url}/i/{invoice['id']}",
        "invoice_pdf": f"{world.base_url}/i/{invoice['id']}/pdf",
        "number": _take_number(world, invoice["customer"]),
        "status": "open",
    }
    invoice["status_transitions"]["finalized_at"] = now
    _settle_balance(world, invoice)
    invoice = world.save(invoice)
    world.announce("invoice.finalized", invoice)
    if invoice["amount_due"] == 0:
        return mark_paid(world, invoice)
    if opens_payment:
        payments.open_payment(world, invoice)
    return invoice


def _bring_up_to_date(world: World, invoice: Document) -> None:
    """Write the customer as they are now on a draft, and what they have used in the meantime."""
    customer, before = world.view("customer", invoice["customer"]), invoice["customer_tax_exempt"]
    subscription = subscription_of(world, invoice)
    invoice |= _bill_to(world, customer)
    bill_late_usage(world, invoice, customer, subscription)
    if invoice["automatic_tax"]["enabled"] or invoice["customer_tax_exempt"] != before:
        tax_again(world, invoice, customer, subscription)
    if invoice["automatic_tax"]["status"] == "requires_location_inputs":
        _give_up_automatic_tax(world, invoice, subscription)


def _give_up_automatic_tax(world: World, invoice: Document, subscription: ReadOnly | None) -> None:
    """Finalize a subscription's invoice untaxed if the customer's location is not known.

    Raises ApiError for an invoice without a subscription, which cannot be finalized.
    """
    if subscription is None:
        raise unknown_location()
    off = {"enabled": False, "liability": None}
    reason = "requires_location_inputs"
    invoice["automatic_tax"] |= {
        **off,
        "disabled_reason": f"finalization_{reason}",
        "provider": None,
        "status": None,
    }
    world.change(invoice)
    world.change({**subscription, "automatic_tax": {**off, "disabled_reason": reason}})


def _take_number(world: World, customer_id: str) -> str:
    customer = world.find("customer", customer_id)
    sequence = customer["next_invoice_sequence"]
    customer["next_invoice_sequence"] += 1
    world.keep(customer)
    return f"{customer['invoice_prefix']}-{sequence:04}"


def _settle_balance(world: World, invoice: Document) -> None:
    """Apply the customer's balance, or add to it what is not charged."""
    ending = invoice["total"] + invoice["starting_balance"] - invoice["amount_due"]
    invoice["ending_balance"] = ending
    moved = ending - invoice["starting_balance"]
    if moved:
        kind = "invoice_too_small" if ending > 0 else "applied_to_invoice"
        _move_balance(world, invoice, moved, kind)


def _move_balance(world: World, invoice: ReadOnly, amount: int, kind: str) -> None:
    currency, invoice_id = invoice["currency"], invoice["id"]
    change_balance(world, invoice["customer"], amount, currency, kind, invoice=invoice_id)


def mark_paid(world: World, invoice: Document, *, out_of_band: bool = False) -> Document:
    """Mark the invoice as paid and announce it."""
    now = world.time_of(invoice)
    invoice |= {
        "amount_paid": invoice["amount_paid"] if out_of_band else invoice["amount_due"],
        "amount_paid_off_stripe": invoice["amount_remaining"] if out_of_band else None,
        "amount_remaining": 0,
        "attempted": True,
        "auto_advance": False,
        "next_payment_attempt": None,
        "status": "paid",
    }
    invoice["status_transitions"]["paid_at"] = now
    invoice = world.save(invoice)
    world.announce("invoice.paid", invoice)
    world.announce("invoice.payment_succeeded", invoice)
    payment = payments.payment_of(world, invoice["id"])
    if payment and payment["status"] == "paid":
        world.announce("invoice_payment.paid", payment)
    return invoice


def void_invoice(world: World, invoice: Document) -> Document:
    """Void the invoice; raises ApiError unless it is open or uncollectible."""
    if invoice["status"] not in {"open", "uncollectible"}:
        raise _wrong_status(invoice, "void")
    invoice |= {"auto_advance": False, "next_payment_attempt": None, "status": "void"}
    invoice["status_transitions"]["voided_at"] = world.time_of(invoice)
    invoice = world.save(invoice)
    world.announce("invoice.voided", invoice)
    payments.cancel_payment(world, invoice)
    applied = invoice["starting_balance"] - (invoice["ending_balance"] or 0)
    if applied:
        _move_balance(world, invoice, applied, "unapplied_from_invoice")
    return invoice


def mark_uncollectible(world: World, invoice: Document) -> Document:
    """Mark the invoice as uncollectible; raises ApiError unless it is open."""
    if invoice["status"] != "open":
        raise _wrong_status(invoice, "mark as uncollectible")
    invoice |= {"auto_advance": False, "next_payment_attempt": None, "status": "uncollectible"}
    invoice["status_transitions"]["marked_uncollectible_at"] = world.time_of(invoice)
    invoice = world.save(invoice)
    world.announce("invoice.marked_uncollectible", invoice)
    return invoice


def _wrong_status(invoice: ReadOnly, action: str) -> ApiError:
    message = (
        f"You can only {action} invoices in a suitable status, this one is {invoice['status']}."
    )
    return invalid(message, code="status_transition_invalid")


def subscription_of(world: World, invoice: ReadOnly) -> ReadOnly | None:
    """Return the invoice's subscription, if any."""
    details = (invoice["parent"] or {}).get("subscription_details")
    return world.store.peek("subscription", details["subscription"]) if details else None


def invoices_of(world: World, subscription_id: str, *statuses: str) -> Iterable[Document]:
    """Iterate over copies of the subscription's invoices with these statuses, oldest first."""
    for invoice in world.store.where("invoice", "subscription", subscription_id):
        if invoice["status"] in statuses:
            yield world.find("invoice", invoice["id"])
