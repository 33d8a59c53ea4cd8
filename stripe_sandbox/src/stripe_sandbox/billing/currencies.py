"""Prices in several currencies: `currency_options`."""

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World

OPTIONS = "_currency_options"
"""Kind of the amounts of a price in other currencies, by the price's id."""

SHOWN = ("tax_behavior", "unit_amount", "unit_amount_decimal")


def options_of(world: World, price: ReadOnly) -> Document:
    """Return what a price costs in each of its currencies."""
    kept = world.store.get(OPTIONS, price["id"]) or {"options": {}}
    own = {name: price[name] for name in SHOWN}
    options = {price["currency"]: own, **kept["options"]}
    return {one: {"custom_unit_amount": None, **told} for one, told in options.items()}


def keep_options(world: World, price: ReadOnly, options: ReadOnly) -> None:
    """Store amounts of a price in other currencies, beside those that it has."""
    kept = world.store.get(OPTIONS, price["id"]) or {"id": price["id"], "options": {}}
    world.store.put(OPTIONS, {**kept, "options": {**kept["options"], **options}})


def priced_in(world: World, price: ReadOnly, currency: str | None, param: str) -> Document:
    """Return a price as it is in a currency; raises ApiError if it has no amount in it."""
    if currency is None or currency == price["currency"]:
        return dict(price)
    kept = world.store.peek(OPTIONS, price["id"]) or {"options": {}}
    option = kept["options"].get(currency)
    if option is None:
        supported = " and ".join(f"`{one}`" for one in (price["currency"], *kept["options"]))
        raise invalid(
            f"The price specified only supports {supported}. This doesn't match the expected "
            f"currency: `{currency}`.",
            param=param,
        )
    return {**price, **option, "currency": currency}
