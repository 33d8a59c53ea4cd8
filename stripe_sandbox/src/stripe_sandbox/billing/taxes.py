"""Taxes of invoice lines by tax rates; automatic tax is not computed."""

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World

HUNDRED = Decimal(100)


def find_rates(world: World, ids: Iterable[str] | None, param: str) -> list[Document]:
    """Return tax rates by their ids; raises ApiError for an unknown or archived one."""
    rates = [world.find("tax_rate", rate_id, param) for rate_id in ids or ()]
    for rate in rates:
        if not rate["active"]:
            raise invalid(f"The tax rate `{rate['id']}` is archived.", param=param)
    return rates


def tax_lines(
    world: World, lines: list[Document], customer: ReadOnly, subscription: ReadOnly | None
) -> list[Document]:
    """Add taxes to the lines, after their discounts; return the totals by rate."""
    totals: dict[str, Document] = {}
    for line in lines:
        rates = _rates_of(world, line, subscription)
        line["taxes"] = _taxes(line, rates, exempt=customer["tax_exempt"] != "none")
        for tax in line["taxes"]:
            rate_id = tax["tax_rate_details"]["tax_rate"]
            held = totals.setdefault(rate_id, {**tax, "amount": 0, "taxable_amount": 0})
            for name in ("amount", "taxable_amount"):
                held[name] += tax[name]
    return list(totals.values())


def sum_of(taxes: Iterable[ReadOnly], behavior: str) -> int:
    """Return the sum of the taxes that are `exclusive` or `inclusive`."""
    return sum(int(tax["amount"]) for tax in taxes if tax["tax_behavior"] == behavior)


def _rates_of(world: World, line: ReadOnly, subscription: ReadOnly | None) -> list[ReadOnly]:
    """Return the rates of a line's item, or else the subscription's."""
    parent = line["parent"]
    own: list[ReadOnly] = []
    if parent["subscription_item_details"] and subscription:
        wanted = parent["subscription_item_details"]["subscription_item"]
        items = subscription["items"]["data"]
        own = next((item["tax_rates"] for item in items if item["id"] == wanted), [])
    elif parent["invoice_item_details"]:
        item_id = parent["invoice_item_details"]["invoice_item"]
        own = (world.store.peek("invoiceitem", item_id) or {"tax_rates": []})["tax_rates"]
    return own or (subscription["default_tax_rates"] if subscription else [])


def _taxes(line: ReadOnly, rates: list[ReadOnly], *, exempt: bool) -> list[Document]:
    taken = sum(int(one["amount"]) for one in line["discount_amounts"])
    base = Decimal(int(line["amount"]) - taken)
    included = sum((Decimal(str(r["percentage"])) for r in rates if r["inclusive"]), Decimal(0))
    net = base * HUNDRED / (HUNDRED + included)
    return [
        {
            "amount": 0 if exempt else _round(net * Decimal(str(rate["percentage"])) / HUNDRED),
            "tax_behavior": "inclusive" if rate["inclusive"] else "exclusive",
            "tax_rate_details": {"tax_rate": rate["id"]},
            "taxability_reason": "customer_exempt" if exempt else "not_available",
            "taxable_amount": 0 if exempt else _round(net),
            "type": "tax_rate_details",
        }
        for rate in rates
    ]


def _round(amount: Decimal) -> int:
    return int(amount.quantize(Decimal(1), ROUND_HALF_UP))
