"""The taxes of invoice lines: by tax rates, or automatically."""

from stripe_sandbox.billing.automatic_tax import Due, behavior_of, due_at, rate_for
from stripe_sandbox.billing.tax_locations import locate
from stripe_sandbox.billing.taxes import EXEMPT, net_of, taxes_on
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.money import step_of
from stripe_sandbox.world import World

NONTAXABLE = "txcd_00000000"


def tax_lines(
    world: World,
    lines: list[Document],
    customer: ReadOnly,
    subscription: ReadOnly | None,
    defaults: list[ReadOnly],
) -> None:
    """Add taxes to lines, after their discounts: by the rates of their items, or the defaults."""
    reason = EXEMPT.get(customer["tax_exempt"])
    for line in lines:
        rates = own_rates(world, line, subscription) or defaults
        line["taxes"] = taxes_on(net_of(line), rates, reason, step_of(line["currency"]))


def own_rates(world: World, line: ReadOnly, subscription: ReadOnly | None) -> list[ReadOnly]:
    """Return the rates of the subscription item or invoice item that a line bills."""
    parent = line["parent"]
    own: list[ReadOnly] = []
    if parent["subscription_item_details"] and subscription:
        wanted = parent["subscription_item_details"]["subscription_item"]
        items = subscription["items"]["data"]
        own = next((item["tax_rates"] for item in items if item["id"] == wanted), [])
    elif parent["invoice_item_details"]:
        item_id = parent["invoice_item_details"]["invoice_item"]
        own = (world.store.peek("invoiceitem", item_id) or {"tax_rates": []})["tax_rates"]
    return own


def tax_automatically(
    world: World, lines: list[Document], customer: ReadOnly, subscription: ReadOnly | None
) -> bool:
    """Add the taxes of the customer's location to lines; return False if it is not known."""
    location = locate(world, customer, subscription)
    due = due_at(world, location, customer) if location else None
    for line in lines:
        line["taxes"] = _automatic(world, line, due) if due else []
    return due is not None


def _automatic(world: World, line: ReadOnly, due: Due) -> list[Document]:
    price = price_of(world, line)
    behavior = behavior_of(world, price, line["currency"]) or "exclusive"
    rate = rate_for(world, due, behavior)
    return automatic_taxes(world, net_of(line), price, due, rate, currency=line["currency"])


def automatic_taxes(
    world: World, amount: int, price: ReadOnly | None, due: Due, rate: ReadOnly, *, currency: str
) -> list[Document]:
    """Return the tax of an amount (minor units) after discounts, with the reason for it."""
    if due.reason and world.choices.zero_taxes == "none":
        return []
    product = world.store.peek("product", price["product"]) if price else None
    reason = due.reason
    if product and product["tax_code"] == NONTAXABLE:
        reason = "product_exempt"
    elif not due.percentage and reason is None:
        reason = "not_subject_to_tax"
    taxes = taxes_on(amount, [rate], reason, step_of(currency))
    for tax in taxes:
        tax["taxability_reason"] = reason or "standard_rated"
    return taxes


def price_of(world: World, line: ReadOnly) -> ReadOnly | None:
    """Return the price of a line, if it has one."""
    details = line["pricing"]["price_details"]
    return world.store.peek("price", details["price"]) if details else None
