"""Prices and codes in several currencies: `currency_options`."""

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World

OPTIONS = "_currency_options"
"""Kind of the amounts of a price or a promotion code in other currencies, by its id."""

SHOWN = ("tax_behavior", "unit_amount", "unit_amount_decimal")


def options_of(world: World, price: ReadOnly) -> Document:
    """Return what a price costs in each of its currencies."""
    kept = world.store.get(OPTIONS, price["id"]) or {"options": {}}
    own = {name: price[name] for name in SHOWN}
    options = {price["currency"]: own, **kept["options"]}
    return {one: {"custom_unit_amount": None, **told} for one, told in options.items()}


def keep_options(world: World, owner: ReadOnly, options: ReadOnly) -> None:
    """Store amounts of a price or a code in other currencies, beside those that it has."""
    kept = world.store.get(OPTIONS, owner["id"]) or {"id": owner["id"], "options": {}}
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


def minimums_of(world: World, promotion: ReadOnly) -> Document:
    """Return what an order must come to for a promotion code, by currency; empty: anything."""
    restrictions = promotion["restrictions"]
    kept = world.store.peek(OPTIONS, promotion["id"]) or {"options": {}}
    minimums = {one: told["minimum_amount"] for one, told in kept["options"].items()}
    if restrictions["minimum_amount"] is not None:
        minimums[restrictions["minimum_amount_currency"]] = restrictions["minimum_amount"]
    return minimums


def amount_off_in(coupon: ReadOnly, currency: str) -> int | None:
    """Return what a coupon takes off in a currency; None: nothing, or a percentage."""
    if currency == coupon["currency"]:
        return None if coupon["amount_off"] is None else int(coupon["amount_off"])
    option = (coupon.get("currency_options") or {}).get(currency)
    return int(option["amount_off"]) if option else None
