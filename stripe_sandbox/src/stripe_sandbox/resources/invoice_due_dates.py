"""`POST /v1/invoices/{id}/send`, and the dates until which sent invoices are to be paid."""

from stripe.params import InvoiceSendInvoiceParams

from stripe_sandbox.billing.due_invoices import is_sent, send
from stripe_sandbox.billing.invoices import finalize_invoice
from stripe_sandbox.billing.periods import DAY
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.operations import Call, Operation, is_in_range


def set_due_date(call: Call, invoice: Document) -> None:
    """Set when a sent invoice is to be paid; another one has no such date."""
    given = {"days_until_due", "due_date"} & {n for n, v in call.params.items() if v is not None}
    if len(given) > 1:
        raise invalid("You may only specify one of days_until_due, due_date.")
    if given and not is_sent(invoice):
        message = (
            "You can only specify `days_until_due` or `due_date` if the invoice's "
            "`collection_method` is `send_invoice`."
        )
        raise invalid(message, param=next(iter(given)))
    if call.get("days_until_due") is not None:
        invoice["due_date"] = invoice["created"] + call.get("days_until_due") * DAY
    elif call.get("due_date") is not None:
        invoice["due_date"] = call.get("due_date")
    elif is_sent(invoice) and invoice["due_date"] is None:
        message = (
            "You must specify one of `days_until_due` or `due_date` if `collection_method` is "
            "`send_invoice`."
        )
        raise invalid(message, param="days_until_due")


def is_due(invoice: ReadOnly, bounds: ReadOnly) -> bool:
    """Return whether an invoice is due within the bounds, in Unix seconds."""
    return invoice["due_date"] is not None and is_in_range(invoice["due_date"], bounds)


def send_by_hand(call: Call) -> Document:
    """Send an invoice to its customer now; a draft is finalized first."""
    world = call.world
    invoice = world.find("invoice", call.id)
    if not is_sent(invoice):
        raise invalid(
            "You can only manually send an invoice if its collection method is 'send_invoice'."
        )
    if invoice["status"] == "draft":
        invoice = finalize_invoice(world, invoice)
    if invoice["status"] not in {"open", "paid"}:
        raise invalid(f"You cannot send an invoice that is {invoice['status']}.")
    send(world, invoice)
    return world.find("invoice", call.id)


OPERATIONS = (Operation("POST", "/invoices/{id}/send", InvoiceSendInvoiceParams, send_by_hand),)
