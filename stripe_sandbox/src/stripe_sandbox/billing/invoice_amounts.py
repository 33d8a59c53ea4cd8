"""What an invoice adds up to: lines, discounts, taxes, the customer's balance."""

from collections.abc import Iterable, Mapping, Sequence

from stripe_sandbox.billing.discounts import discount_lines
from stripe_sandbox.billing.line_taxes import tax_automatically, tax_lines
from stripe_sandbox.billing.taxes import sum_of, totals
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.money import minimum_charge
from stripe_sandbox.world import World


def take_discounts(
    world: World, lines: list[Document], discounts: Sequence[str]
) -> Mapping[str, int]:
    """Apply discounts: those of each line first, then those of the invoice; return their totals."""
    taken: Document = {}
    for line in lines:
        for discount_id, amount in discount_lines(world, [line], line["discounts"]).items():
            taken[discount_id] = taken.get(discount_id, 0) + amount
    taken |= discount_lines(world, lines, discounts)
    for line in lines:
        line["pretax_credit_amounts"] = as_credits(line["discount_amounts"])
    return taken


def as_credits(discount_amounts: Iterable[ReadOnly]) -> list[Document]:
    """Return discount amounts as what they take off before taxes."""
    return [{**one, "credit_balance_transaction": None, "type": "discount"}
            for one in discount_amounts]  # fmt: skip


def sums(
    lines: Sequence[ReadOnly], taken: Mapping[str, int], balance: int, currency: str
) -> Document:
    """Return the sums of an invoice whose lines have their discounts and taxes, in minor units."""
    subtotal, taxes = sum(line["amount"] for line in lines), totals(lines)
    net, included = subtotal - sum(taken.values()), sum_of(taxes, "inclusive")
    total = net + sum_of(taxes, "exclusive")
    due = _amount_due(total + balance, currency)
    amounts = [{"amount": amount, "discount": one} for one, amount in taken.items()]
    return {
        "amount_due": due,
        "amount_overpaid": 0,
        "amount_remaining": due,
        "starting_balance": balance,
        "subtotal": subtotal,
        "subtotal_excluding_tax": subtotal - included,
        "total": total,
        "total_discount_amounts": amounts,
        "total_excluding_tax": net - included,
        "total_pretax_credit_amounts": as_credits(amounts),
        "total_taxes": taxes,
    }


def _amount_due(amount: int, currency: str) -> int:
    """Return what to charge; less than the minimum charge goes to the customer's balance."""
    return amount if amount >= minimum_charge(currency) else 0


def automatic_tax(*, enabled: bool, known: bool = True) -> Document:
    """Return an invoice's `automatic_tax`; `known` is whether the customer's location is."""
    status = "complete" if known else "requires_location_inputs"
    if not enabled:
        return {"enabled": False}
    liability = {"type": "self"}
    return {"enabled": True, "liability": liability, "provider": "stripe", "status": status}


def tax_again(
    world: World, invoice: Document, customer: ReadOnly, subscription: ReadOnly | None
) -> None:
    """Compute the taxes and the sums of a draft again, with its lines as they are."""
    lines = invoice["lines"]["data"]
    if invoice["automatic_tax"]["enabled"]:
        known = tax_automatically(world, lines, customer, subscription)
        invoice["automatic_tax"] = automatic_tax(enabled=True, known=known)
    else:
        tax_lines(world, lines, customer, subscription, invoice["default_tax_rates"])
    taken = {one["discount"]: one["amount"] for one in invoice["total_discount_amounts"]}
    invoice |= sums(lines, taken, invoice["starting_balance"], invoice["currency"])


def add_up_again(
    world: World, invoice: Document, customer: ReadOnly, subscription: ReadOnly | None
) -> None:
    """Compute the discounts, the taxes and the sums of a draft whose lines have changed."""
    lines = invoice["lines"]["data"]
    for line in lines:
        line["discount_amounts"] = []
    taken = take_discounts(world, lines, invoice["discounts"])
    amounts = [{"amount": amount, "discount": one} for one, amount in taken.items()]
    invoice["total_discount_amounts"] = amounts
    tax_again(world, invoice, customer, subscription)
