"""Payment intents that are attached to an invoice, each of which pays a part of it."""

from stripe_sandbox.billing.customer_balance import change_balance
from stripe_sandbox.billing.dunning import settle
from stripe_sandbox.billing.invoices import mark_paid
from stripe_sandbox.billing.payments import (
    cancel_payment,
    link,
    lower_payment,
    note_paid,
    payment_with,
)
from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World

INTENT = "payment_intent"


def attach(world: World, invoice: ReadOnly, intent: ReadOnly) -> None:
    """Let an intent pay a part of an open invoice, at once if it has succeeded already.

    Raises ApiError for another customer's intent, or one that cannot pay this invoice.
    """
    _check(world, invoice, intent)
    payment = link(world, invoice, intent, intent["amount"], is_default=False)
    if intent["status"] == "succeeded":
        credit(world, payment, intent)


def _check(world: World, invoice: ReadOnly, intent: ReadOnly) -> None:
    if invoice["status"] != "open":
        message = f"Payments can be attached to open invoices, and this one is {invoice['status']}."
        raise invalid(message, code="status_transition_invalid")
    if id_of(intent["customer"]) != invoice["customer"]:
        raise invalid("The PaymentIntent does not belong to the invoice's customer.", param=INTENT)
    if intent["currency"] != invoice["currency"]:
        raise invalid("The PaymentIntent is not in the invoice's currency.", param=INTENT)
    if payment_with(world, intent["id"]):
        raise invalid("The PaymentIntent already pays an invoice.", param=INTENT)
    if intent["status"] == "canceled":
        raise invalid("A canceled PaymentIntent cannot pay an invoice.", param=INTENT)


def credit(world: World, payment: Document, intent: ReadOnly) -> None:
    """Note on an invoice what an attached intent has paid; too much goes to the balance."""
    note_paid(world, payment, intent["amount_received"])
    invoice = world.find("invoice", payment["invoice"])
    if invoice["status"] == "open":
        _lower(world, invoice, intent["amount_received"])
    world.announce("invoice_payment.paid", world.find("invoice_payment", payment["id"]))


def _lower(world: World, invoice: Document, received: int) -> None:
    left = invoice["amount_remaining"] - received
    invoice |= {"amount_paid": invoice["amount_paid"] + received, "amount_remaining": max(left, 0)}
    if left > 0:
        lower_payment(world, invoice, left)
        world.change(invoice)
        return
    if world.choices.covered_intents == "canceled":
        cancel_payment(world, invoice)
    invoice["amount_overpaid"] = -left
    invoice = mark_paid(world, invoice)
    settle(world, invoice, failed=False)
    if left:
        _return_surplus(world, invoice, -left)


def _return_surplus(world: World, invoice: ReadOnly, surplus: int) -> None:
    world.announce("invoice.overpaid", invoice)
    customer, currency, of = invoice["customer"], invoice["currency"], invoice["id"]
    change_balance(world, customer, -surplus, currency, "invoice_overpaid", invoice=of)
