"""The lines of a credit note."""

from stripe_sandbox import shapes
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid, missing_param, no_such
from stripe_sandbox.world import World


def lines_of_note(
    world: World, invoice: ReadOnly, amount: int | None, given: list[ReadOnly]
) -> list[Document]:
    """Return the lines of a note: those given, or one over the amount (minor units)."""
    if amount is not None and given:
        raise invalid("You may only specify one of these parameters: amount, lines.")
    if amount is not None:
        text = f"Credit for invoice {invoice['number']}"
        return [_line(world, amount=amount, description=text, type="custom_line_item")]
    if not given:
        message = "You must provide one of `amount`, `lines`, or `shipping_cost`."
        raise invalid(message, param="amount", code="parameter_missing")
    return [_given_line(world, invoice, one, f"lines[{i}]") for i, one in enumerate(given)]


def _given_line(world: World, invoice: ReadOnly, given: ReadOnly, path: str) -> Document:
    if given["type"] == "invoice_line_item":
        return _of_invoice(world, invoice, given, path)
    for name in ("quantity", "unit_amount"):
        if given.get(name) is None:
            raise missing_param(f"{path}[{name}]")
    return _line(
        world,
        amount=given["unit_amount"] * given["quantity"],
        description=given.get("description"),
        quantity=given["quantity"],
        type="custom_line_item",
        unit_amount=given["unit_amount"],
        unit_amount_decimal=str(given["unit_amount"]),
    )


def _of_invoice(world: World, invoice: ReadOnly, given: ReadOnly, path: str) -> Document:
    line_id = given.get("invoice_line_item")
    line = next((one for one in invoice["lines"]["data"] if one["id"] == line_id), None)
    if line is None:
        raise no_such("invoice line item", str(line_id), f"{path}[invoice_line_item]")
    quantity = given.get("quantity")
    amount = given.get("amount")
    if amount is None:
        amount = line["amount"] * (quantity or line["quantity"]) // (line["quantity"] or 1)
    taken = [
        {**one, "amount": one["amount"] * amount // (line["amount"] or 1)}
        for one in line["discount_amounts"]
    ]
    return _line(
        world,
        amount=amount,
        description=given.get("description") or line["description"],
        discount_amount=sum(one["amount"] for one in taken),
        discount_amounts=taken,
        invoice_line_item=line["id"],
        quantity=quantity,
        type="invoice_line_item",
    )


def _line(world: World, **values: object) -> Document:
    blank = {
        "id": world.ids.next("cnli"),
        "object": "credit_note_line_item",
        "discount_amount": 0,
        "discount_amounts": [],
        "livemode": False,
        "metadata": {},
        "pretax_credit_amounts": [],
        "tax_rates": [],
        "taxes": [],
    }
    return shapes.complete(blank | values)
