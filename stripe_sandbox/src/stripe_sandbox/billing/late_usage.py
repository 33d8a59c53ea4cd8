"""Usage that is reported while its invoice is a draft."""

from collections.abc import Iterator
from itertools import groupby

from stripe_sandbox.billing.amounts import Part
from stripe_sandbox.billing.invoice_amounts import add_up_again
from stripe_sandbox.billing.lines import describe_part, is_free, parts_sold, tier_pricing
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
    counted = [*_counted_again(world, invoice, subscription)]
    if counted != invoice["lines"]["data"]:
        invoice["lines"]["data"] = counted
        add_up_again(world, invoice, customer, subscription)


def _counted_again(world: World, invoice: ReadOnly, subscription: ReadOnly) -> Iterator[Document]:
    """Yield the lines, with those of metered items as their usage is now."""
    for _, lines in groupby(invoice["lines"]["data"], _term_of):
        yield from _count_again(world, [*lines], invoice, subscription)


def _term_of(line: ReadOnly) -> tuple[str, int, int]:
    """Return what the lines of one item and period have in common: several if there are tiers."""
    details = line["parent"]["subscription_item_details"]
    holder = details["subscription_item"] if details else line["id"]
    return str(holder), line["period"]["start"], line["period"]["end"]


def _count_again(
    world: World, lines: list[Document], invoice: ReadOnly, subscription: ReadOnly
) -> list[Document]:
    """Return the lines of an item and period as its usage is now."""
    price = _metered_price(world, lines[0])
    period = Period(lines[0]["period"]["start"], lines[0]["period"]["end"])
    if price is None or period.end > invoice["created"] or is_free(subscription, period):
        return lines
    quantity = billed_usage(world, price, invoice["customer"], period)
    if quantity == sum(line["quantity"] for line in lines):
        return lines
    parts = parts_sold(world, price, quantity)
    ids = [line["id"] for line in lines]
    ids += [world.ids.next("il") for _ in parts[len(ids) :]]
    return [
        {**lines[0], "id": line_id, **_of_part(world, price, part, lines[0])}
        for line_id, part in zip(ids, parts, strict=False)
    ]


def _of_part(world: World, price: ReadOnly, part: Part, line: ReadOnly) -> Document:
    return {
        "amount": part.amount,
        "description": describe_part(world, price, part),
        "pricing": {**line["pricing"], **tier_pricing(part)},
        "quantity": part.quantity,
        "quantity_decimal": str(part.quantity),
        "subtotal": part.amount,
    }


def _metered_price(world: World, line: ReadOnly) -> ReadOnly | None:
    details = line["pricing"]["price_details"]
    if not line["parent"]["subscription_item_details"] or details is None:
        return None
    price = world.store.peek("price", details["price"])
    return price if price and is_metered(price) else None
