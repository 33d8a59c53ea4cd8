"""`/v1/invoices/{id}/lines`, and several lines of a draft added, changed or removed at once."""

from collections.abc import Callable

from stripe.params import (
    InvoiceAddLinesParams,
    InvoiceLineItemListParams,
    InvoiceLineItemUpdateParams,
    InvoiceRemoveLinesParams,
    InvoiceUpdateLinesParams,
)

from stripe_sandbox.billing.amounts import amount_of
from stripe_sandbox.billing.draft_lines import (
    add_up,
    find_draft,
    find_line,
    follow_item,
    item_of,
    put_on,
    take_off,
)
from stripe_sandbox.billing.lines import pricing
from stripe_sandbox.documents import Document, ReadOnly, merge_metadata
from stripe_sandbox.errors import invalid
from stripe_sandbox.operations import Call, Listing, Operation
from stripe_sandbox.resources.invoice_items import LINE, changed, find_discounts, make_item
from stripe_sandbox.supported import supports
from stripe_sandbox.world import World

OF_SUBSCRIPTION = frozenset({"description", "discountable", "discounts", "metadata", "period"})
"""What can be changed of a line that bills a subscription item."""

PRICED = frozenset({"amount", "pricing", "quantity"})
"""What else can be changed of it by `Choices`."""


def list_lines(call: Call) -> Listing:
    """List an invoice's line items."""
    return Listing(call.world.find("invoice", call.id)["lines"]["data"])


def update_line(call: Call) -> Document:
    """Change a line of a draft, and the invoice item that it bills."""
    invoice = find_draft(call.world, call.id)
    _change(call.world, invoice, find_line(invoice, call.ids["line"]), call.params)
    return find_line(add_up(call.world, invoice), call.ids["line"])


def add_lines(call: Call) -> Document:
    """Put lines on a draft: new ones, or pending invoice items."""
    return _with_lines(call, _add)


def update_lines(call: Call) -> Document:
    """Change lines of a draft."""
    return _with_lines(call, _change_one)


def remove_lines(call: Call) -> Document:
    """Take lines off a draft; their invoice items are deleted, or pending again."""
    return _with_lines(call, _remove)


def _with_lines(call: Call, edit: Callable[[World, Document, ReadOnly, str], None]) -> Document:
    """Apply the entries of `lines` to a draft, one after another, and add it up."""
    invoice = find_draft(call.world, call.id)
    for index, given in enumerate(call.params["lines"]):
        edit(call.world, invoice, given, f"lines[{index}]")
    if "invoice_metadata" in call.params:
        said = call.params["invoice_metadata"]
        invoice["metadata"] = merge_metadata(invoice["metadata"], said)
    return add_up(call.world, invoice)


def _add(world: World, invoice: Document, given: ReadOnly, param: str) -> None:
    if given.get("invoice_item"):
        item = _pending(world, given["invoice_item"], f"{param}[invoice_item]")
        others = {name: value for name, value in given.items() if name != "invoice_item"}
        put_on(world, invoice, changed(Call(world, {}, others), item), param)
        return
    owner = {name: invoice[name] for name in ("currency", "customer")}
    item = make_item(Call(world, {}, {**given, **owner, "invoice": invoice["id"]}))
    put_on(world, invoice, item, param)


def _pending(world: World, item_id: str, param: str) -> Document:
    item = world.find("invoiceitem", item_id, param)
    if item["invoice"] is not None:
        raise invalid("The invoice item is already on an invoice.", param=param)
    return item


def _change_one(world: World, invoice: Document, given: ReadOnly, param: str) -> None:
    said = {name: value for name, value in given.items() if name != "id"}
    _change(world, invoice, find_line(invoice, given["id"], f"{param}[id]"), said)


def _change(world: World, invoice: Document, line: Document, said: Document) -> None:
    item_id = item_of(line)
    if item_id is None:
        _change_of_subscription(world, invoice, line, said)
        return
    item = changed(Call(world, {}, said), world.find("invoiceitem", item_id))
    follow_item(world, invoice, world.save(item))


def _change_of_subscription(
    world: World, invoice: ReadOnly, line: Document, said: Document
) -> None:
    """Change a line of a subscription item; its metadata is replaced, as at Stripe."""
    editable = world.choices.subscription_lines == "editable"
    for name in sorted(said.keys() - OF_SUBSCRIPTION - (PRICED if editable else set())):
        raise invalid(f"The {name} of a subscription's line cannot be changed.", param=name)
    if said.keys() & PRICED:
        _price_again(world, line, said)
    line |= {name: said[name] for name in ("description", "discountable") if name in said}
    if "metadata" in said:
        line["metadata"] = merge_metadata({}, said["metadata"])
    if said.get("period"):
        line["period"] = dict(said["period"])
    if "discounts" in said:
        found = find_discounts(world, said, invoice["customer"], invoice["currency"])
        line["discounts"] = list(found)


def _price_again(world: World, line: Document, said: ReadOnly) -> None:
    """Change what a line of a subscription item costs: as told, or by its price and quantity."""
    quantity = said.get("quantity", line["quantity"])
    price_id = said.get("pricing", {}).get("price") or line["pricing"]["price_details"]["price"]
    price = world.find("price", price_id, "pricing[price]")
    amount = said.get("amount", amount_of(price, quantity))
    line |= {
        "amount": amount,
        "pricing": pricing(price, 0),
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subtotal": amount,
    }


def _remove(world: World, invoice: Document, given: ReadOnly, param: str) -> None:
    item_id = item_of(find_line(invoice, given["id"], f"{param}[id]"))
    if item_id is None:
        _remove_of_subscription(world, invoice, given["id"], f"{param}[id]")
        return
    item = world.find("invoiceitem", item_id)
    take_off(invoice, item_id)
    if given["behavior"] == "unassign":
        world.save({**item, "invoice": None})
        return
    world.store.delete("invoiceitem", item_id)
    world.announce("invoiceitem.deleted", item)


def _remove_of_subscription(world: World, invoice: Document, line_id: str, param: str) -> None:
    if world.choices.subscription_lines == "fixed":
        raise invalid("A line of a subscription cannot be removed.", param=param)
    lines = invoice["lines"]
    lines["data"] = [line for line in lines["data"] if line["id"] != line_id]


ONE = "/invoices/{id}"
CHANGED = supports("id", base=LINE)
OPERATIONS = (
    Operation("GET", f"{ONE}/lines", InvoiceLineItemListParams, list_lines),
    Operation("POST", f"{ONE}/lines/{{line}}", InvoiceLineItemUpdateParams, update_line, LINE),
    Operation(
        "POST",
        f"{ONE}/add_lines",
        InvoiceAddLinesParams,
        add_lines,
        supports("invoice_metadata", lines=supports("invoice_item", base=LINE)),
    ),
    Operation(
        "POST",
        f"{ONE}/update_lines",
        InvoiceUpdateLinesParams,
        update_lines,
        supports("invoice_metadata", lines=CHANGED),
    ),
    Operation(
        "POST",
        f"{ONE}/remove_lines",
        InvoiceRemoveLinesParams,
        remove_lines,
        supports("invoice_metadata", lines=supports("behavior", "id")),
    ),
)
