"""The lines of a draft invoice: put on it, changed, and taken off."""

from stripe_sandbox.billing.invoice_amounts import add_up_again
from stripe_sandbox.billing.invoices import subscription_of
from stripe_sandbox.billing.lines import item_line
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid, no_such
from stripe_sandbox.world import World


def find_draft(world: World, invoice_id: str, param: str = "id") -> Document:
    """Return an invoice whose lines can be changed; raises ApiError unless it is a draft."""
    invoice = world.find("invoice", invoice_id, param)
    if invoice["status"] != "draft":
        message = "The invoice is no longer a draft, so its lines can no longer be changed."
        raise invalid(message, param=param, code="invoice_not_editable")
    return invoice


def find_line(invoice: ReadOnly, line_id: str, param: str = "id") -> Document:
    """Return a line of an invoice; raises ApiError if it has none with the id."""
    lines: list[Document] = invoice["lines"]["data"]
    found = next((line for line in lines if line["id"] == line_id), None)
    if found is None:
        raise no_such("invoice line item", line_id, param)
    return found


def put_on(world: World, invoice: Document, item: ReadOnly, param: str) -> None:
    """Put an invoice item on a draft as its last line; raises ApiError if it does not fit."""
    for name in ("customer", "currency"):
        if item[name] != invoice[name]:
            raise invalid(f"The {name} of the invoice item is not the invoice's.", param=param)
    line = item_line(world, world.save({**item, "invoice": invoice["id"]}))
    invoice["lines"]["data"].append({**line, "invoice": invoice["id"]})


def follow_item(world: World, invoice: Document, item: ReadOnly) -> None:
    """Write a changed invoice item on its line of a draft."""
    lines = invoice["lines"]["data"]
    for index, line in enumerate(lines):
        if item_of(line) == item["id"]:
            lines[index] = {**item_line(world, item), "id": line["id"], "invoice": invoice["id"]}


def take_off(invoice: Document, item_id: str) -> None:
    """Take the line of an invoice item off a draft."""
    lines = invoice["lines"]
    lines["data"] = [line for line in lines["data"] if item_of(line) != item_id]


def item_of(line: ReadOnly) -> str | None:
    """Return the id of a line's invoice item; a line of a subscription item has none."""
    details = line["parent"]["invoice_item_details"]
    return details["invoice_item"] if details else None


def add_up(world: World, invoice: Document) -> Document:
    """Add up a draft whose lines have changed, and announce it."""
    customer = world.find("customer", invoice["customer"])
    add_up_again(world, invoice, customer, subscription_of(world, invoice))
    return world.change(invoice)
