"""Taxes of amounts by tax rates: of invoice lines, of Checkout lines, of credit note lines."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.money import round_to_step
from stripe_sandbox.world import World

HUNDRED = Decimal(100)
EXEMPT = {"exempt": "customer_exempt", "reverse": "reverse_charge"}
"""Why nothing is taxed, by a customer's `tax_exempt`."""


def find_rates(world: World, given: Iterable[str | Document] | None, param: str) -> list[Document]:
    """Return tax rates by their ids; raises ApiError for an unknown or archived one.

    A rate that is given itself is in use already, and stays so.
    """
    return [
        one if isinstance(one, dict) else _active_rate(world, one, param) for one in given or ()
    ]


def _active_rate(world: World, rate_id: str, param: str) -> Document:
    rate = world.find("tax_rate", rate_id, param)
    if not rate["active"]:
        raise invalid(f"The tax rate `{rate_id}` is archived.", param=param)
    return rate


def check_behavior(price: ReadOnly | None, rates: Iterable[ReadOnly]) -> None:
    """Raise ApiError for a price that says inclusive or exclusive, and a rate that differs."""
    behavior = price["tax_behavior"] if price else "unspecified"
    if behavior == "unspecified":
        return
    if any(rate["inclusive"] != (behavior == "inclusive") for rate in rates):
        raise invalid(
            "One or more prices has a `tax_behavior` that conflicts with the tax rates that apply "
            "to the corresponding line item."
        )


def check_items(subscription: ReadOnly) -> None:
    """Raise ApiError for an item whose price conflicts with the rates that apply to it."""
    for item in subscription["items"]["data"]:
        check_behavior(item["price"], item["tax_rates"] or subscription["default_tax_rates"] or [])


def taxes_on(
    amount: int, rates: Sequence[ReadOnly], reason: str | None = None, step: int = 1
) -> list[Document]:
    """Return the taxes of an amount after discounts, by rate; all in minor units.

    They are multiples of the `step` of the currency.
    Inclusive rates are part of the amount, exclusive ones come on top. A `reason` why nothing is
    taxed makes them zero.
    """
    included = sum((Decimal(str(r["percentage"])) for r in rates if r["inclusive"]), Decimal(0))
    net = Decimal(amount) * HUNDRED / (HUNDRED + included)
    return [
        {
            "amount": 0 if reason else _tax(net, rate, step),
            "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
            "tax_rate_details": {"tax_rate": rate["id"]},
            "taxability_reason": reason or "not_available",
            "taxable_amount": 0 if reason else round_to_step(net),
            "type": "tax_rate_details",
        }
        for rate in rates
    ]


def net_of(line: ReadOnly) -> int:
    """Return the amount of a line after its discounts, in minor units."""
    return int(line["amount"]) - sum(int(one["amount"]) for one in line["discount_amounts"])


def totals(lines: Iterable[ReadOnly]) -> list[Document]:
    """Return the taxes of the lines, added up by rate and reason."""
    added: dict[tuple[str, str], Document] = {}
    for tax in (tax for line in lines for tax in line["taxes"]):
        key = (tax["tax_rate_details"]["tax_rate"], tax["taxability_reason"])
        held = added.setdefault(key, {**tax, "amount": 0, "taxable_amount": 0})
        for name in ("amount", "taxable_amount"):
            held[name] += tax[name]
    return list(added.values())


def sum_of(taxes: Iterable[ReadOnly], behavior: str) -> int:
    """Return the sum of the taxes that are `exclusive` or `inclusive`."""
    return sum(int(tax["amount"]) for tax in taxes if tax["tax_behavior"] == behavior)


def _tax(net: Decimal, rate: ReadOnly, step: int) -> int:
    return round_to_step(net * Decimal(str(rate["percentage"])) / HUNDRED, step)
