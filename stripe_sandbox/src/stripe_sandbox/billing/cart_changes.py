"""What the buyer changes at the payment page: quantities, and a promotion code."""

from collections.abc import Mapping
from dataclasses import replace

from stripe_sandbox.billing.cart import Cart, cart_of, keep_cart, line_items_of, price_cart
from stripe_sandbox.billing.cart_taxes import Payer, payer_known
from stripe_sandbox.billing.checkout import due_today, tax_status
from stripe_sandbox.billing.subscriptions import PricedItem
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError, invalid
from stripe_sandbox.world import World

MOST = 99
"""The highest quantity, unless the session names another."""


def change_cart(
    world: World,
    session: Document,
    *,
    code: str | None,
    quantities: Mapping[int, int],
    payer: Payer | None = None,
) -> Document:
    """Price the session again with a promotion code and other quantities, by line.

    `payer` is who is taxed automatically, by default the session's customer.
    Raises ApiError for a code that cannot be redeemed, and for a quantity out of bounds.
    """
    cart = cart_of(world, session["id"])
    items = [
        _with_quantity(item, quantities.get(index), index) for index, item in enumerate(cart.items)
    ]
    changed = replace(cart, items=items)
    subscribes = session["mode"] == "subscription"
    if not (changed.recurring() if subscribes else changed.one_time()):
        noun = "subscription" if subscribes else "product"
        raise invalid(f"At least one {noun} has to stay in the order.", param="line_items")
    if code:
        changed = replace(changed, discounts=[_discount(world, session, code)])
    return price_again(world, session, changed, payer)


def _with_quantity(item: PricedItem, quantity: int | None, index: int) -> PricedItem:
    if quantity is None or quantity == item.quantity:
        return item
    bounds = item.adjustable or {}
    least, most = bounds.get("minimum") or 0, bounds.get("maximum") or MOST
    if not bounds.get("enabled") or not least <= quantity <= most:
        message = f"The quantity must be between {least} and {most}."
        raise invalid(message, param=f"line_items[{index}][quantity]")
    return replace(item, quantity=quantity)


def _discount(world: World, session: ReadOnly, code: str) -> Document:
    if not session["allow_promotion_codes"]:
        raise invalid("This session does not take promotion codes.", param="promotion_code")
    for promotion in world.store.where("promotion_code", "code", code.lower()):
        if promotion["active"]:
            return {"promotion_code": promotion["id"]}
    raise ApiError(400, "This code is invalid.", param="promotion_code")


def price_again(
    world: World, session: Document, cart: Cart, payer: Payer | None = None
) -> Document:
    """Price the session again, and store what it sells."""
    payer = payer or payer_known(world, session["customer"])
    lines = price_cart(world, cart, session["customer"], payer)
    for line, before in zip(lines, line_items_of(world, session["id"]), strict=True):
        line["id"] = before["id"]
    session |= due_today(world, lines, cart)
    session["automatic_tax"] = tax_status(world, cart, payer)
    keep_cart(world, session["id"], cart, lines)
    return world.save(session)
