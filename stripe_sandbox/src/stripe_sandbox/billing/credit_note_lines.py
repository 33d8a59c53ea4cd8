"""The lines of a credit note, with their discounts and taxes."""

from collections.abc import Sequence
from fractions import Fraction

from stripe_sandbox import shapes
from stripe_sandbox.billing.invoice_amounts import as_credits
from stripe_sandbox.billing.taxes import EXEMPT, find_rates, taxes_on
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid, missing_param, no_such
from stripe_sandbox.money import split_amount
from stripe_sandbox.world import World


def lines_of_note(
    world: World, invoice: ReadOnly, amount: int | None, given: list[ReadOnly]
) -> list[Document]:
    """Return the lines of a note: those given, or one over the amount (minor units).

    Of an invoice with automatic tax, which has no custom lines, an amount is credited on its lines,
    in proportion; by `Choices` of any invoice.
    """
    if amount is not None and given:
        raise invalid("You may only specify one of these parameters: amount, lines.")
    proportional = world.choices.amount_notes == "proportional"
    if amount is not None and (proportional or invoice["automatic_tax"]["enabled"]):
        return _in_proportion(world, invoice["lines"]["data"], amount)
    if amount is not None:
        text = f"Credit for invoice {invoice['number']}"
        return [_line(world, amount=amount, description=text, type="custom_line_item")]
    if not given:
        message = "You must provide one of `amount`, `lines`, or `shipping_cost`."
        raise invalid(message, param="amount", code="parameter_missing")
    return [_given_line(world, invoice, one, f"lines[{i}]") for i, one in enumerate(given)]


def _in_proportion(world: World, lines: Sequence[ReadOnly], amount: int) -> list[Document]:
    """Return lines over an amount (minor units, with taxes): each line's part of it."""
    wholes = [max(_charged(line), 0) for line in lines]
    parts = split_amount(amount, wholes)
    return [
        _part_of(world, line, Fraction(part, whole))
        for line, part, whole in zip(lines, parts, wholes, strict=True)
        if part
    ]


def _charged(line: ReadOnly) -> int:
    """Return what a line of an invoice has cost, in minor units, with exclusive taxes."""
    taken = sum(int(one["amount"]) for one in line["discount_amounts"])
    return int(line["amount"]) - taken + _exclusive(line["taxes"])


def _exclusive(taxes: Sequence[ReadOnly]) -> int:
    return sum(int(tax["amount"]) for tax in taxes if tax["tax_behavior"] == "exclusive")


def _part_of(world: World, line: ReadOnly, share: Fraction) -> Document:
    """Return the credit of a share of what a line has cost."""
    rates = [world.find("tax_rate", tax["tax_rate_details"]["tax_rate"]) for tax in line["taxes"]]
    taxes = [{**tax, "amount": int(tax["amount"] * share)} for tax in line["taxes"]]
    net = int(_charged(line) * share) - sum(int(tax["amount"]) for tax in taxes)
    for tax in taxes:
        tax["taxable_amount"] = net if tax["taxable_amount"] else 0
    return _line(
        world,
        amount=int(_charged(line) * share) - _exclusive(taxes),
        description=line["description"],
        invoice_line_item=line["id"],
        tax_rates=rates,
        taxes=taxes,
        type="invoice_line_item",
    )


def _given_line(world: World, invoice: ReadOnly, given: ReadOnly, path: str) -> Document:
    if given["type"] == "invoice_line_item":
        return _of_invoice(world, invoice, given, path)
    if invoice["automatic_tax"]["enabled"]:
        message = "`custom_line_item` is not valid for an invoice with automatic tax."
        raise invalid(message, param=f"{path}[type]")
    for name in ("quantity", "unit_amount"):
        if given.get(name) is None:
            raise missing_param(f"{path}[{name}]")
    amount = given["unit_amount"] * given["quantity"]
    rates = find_rates(world, given.get("tax_rates"), f"{path}[tax_rates]")
    return _line(
        world,
        amount=amount,
        description=given.get("description"),
        quantity=given["quantity"],
        tax_rates=rates,
        taxes=taxes_on(amount, rates, EXEMPT.get(invoice["customer_tax_exempt"])),
        type="custom_line_item",
        unit_amount=given["unit_amount"],
        unit_amount_decimal=str(given["unit_amount"]),
    )


def _of_invoice(world: World, invoice: ReadOnly, given: ReadOnly, path: str) -> Document:
    line_id = given.get("invoice_line_item")
    if given.get("tax_rates"):
        message = "You can only set `tax_rates` for lines of type `custom_line_item`."
        raise invalid(message, param=f"{path}[tax_rates]")
    line = next((one for one in invoice["lines"]["data"] if one["id"] == line_id), None)
    if line is None:
        raise no_such("invoice line item", str(line_id), f"{path}[invoice_line_item]")
    quantity = given.get("quantity")
    amount = given.get("amount")
    if amount is None:
        amount = line["amount"]
        amount = amount * quantity // (line["quantity"] or 1) if quantity else amount
    taken = [
        {**one, "amount": one["amount"] * amount // (line["amount"] or 1)}
        for one in line["discount_amounts"]
    ]
    discount = sum(one["amount"] for one in taken)
    taxes, rates = _taxes(world, line, amount - discount)
    return _line(
        world,
        amount=amount,
        description=given.get("description") or line["description"],
        discount_amount=discount,
        discount_amounts=taken,
        invoice_line_item=line["id"],
        pretax_credit_amounts=as_credits(taken),
        quantity=quantity,
        tax_rates=rates,
        taxes=taxes,
        type="invoice_line_item",
    )


def _taxes(world: World, line: ReadOnly, amount: int) -> tuple[list[Document], list[Document]]:
    """Return the taxes of an amount credited of an invoice line, and their rates."""
    known = line["taxes"]
    rates = [world.find("tax_rate", tax["tax_rate_details"]["tax_rate"]) for tax in known]
    taxes = taxes_on(amount, rates)
    for tax, of_line in zip(taxes, known, strict=True):
        tax["taxability_reason"] = of_line["taxability_reason"]
        if not of_line["taxable_amount"]:
            tax |= {"amount": 0, "taxable_amount": 0}
    return taxes, rates


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
