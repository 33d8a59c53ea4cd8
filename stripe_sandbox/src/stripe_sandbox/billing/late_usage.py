"""Usage that is reported while its invoice is a draft."""

from stripe_sandbox.billing.amounts import amount_of
from stripe_sandbox.billing.invoice_amounts import add_up_again
from stripe_sandbox.billing.lines import describe_term, is_free
from stripe_sandbox.billing.periods import Period
from stripe_sandbox.billing.usage import billed_usage, is_metered
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World


def bill_late_usage(
    world: World, invoice: Document, customer: ReadOnly, subscription: ReadOnly | None
) -> None:
    """Bill on a draft what was used in the periods of its lines and reported since."""
    if subscription is None:
        return
    lines = invoice["lines"]["data"]
    changed = [_count_again(world, line, invoice, subscription) for line in lines]
    if any(changed):
        add_up_again(world, invoice, customer, subscription)


def _count_again(world: World, line: Document, invoice: ReadOnly, subscription: ReadOnly) -> bool:
    """Count the usage of a line again; return whether it has changed."""
    price = _metered_price(world, line)
    period = Period(line["period"]["start"], line["period"]["end"])
    if price is None or period.end > invoice["created"] or is_free(subscription, period):
        return False
    quantity = billed_usage(world, price, invoice["customer"], period)
    if quantity == line["quantity"]:
        return False
    amount = amount_of(price, quantity)
    line |= {
        "amount": amount,
        "description": describe_term(world, price, quantity),
        "quantity": quantity,
        "quantity_decimal": str(quantity),
        "subtotal": amount,
    }
    return True


def _metered_price(world: World, line: ReadOnly) -> ReadOnly | None:
    details = line["pricing"]["price_details"]
    if not line["parent"]["subscription_item_details"] or details is None:
        return None
    price = world.store.peek("price", details["price"])
    return price if price and is_metered(price) else None
