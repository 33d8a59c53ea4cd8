"""The discount of a customer: it applies where a subscription has none of its own."""

from stripe_sandbox.billing.discounts import Redemption, coupon_of, redeem
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import no_such
from stripe_sandbox.world import World, differences


def set_discount(world: World, customer: Document, coupon_id: str | None) -> Document:
    """Give a customer the discount of a coupon, or None; return the customer."""
    if coupon_id is None:
        return remove_discount(world, customer) if customer["discount"] else customer
    coupon = world.find("coupon", coupon_id, "coupon")
    currency = coupon["currency"] or customer["currency"] or "usd"
    redemption = Redemption(currency, world.time_of(customer), customer["id"])
    discount = redeem(world, {"coupon": coupon_id}, redemption, param="coupon")
    former, customer["discount"] = customer["discount"], discount
    if former:
        previous = differences(former, discount)
        world.announce("customer.discount.updated", discount, previous=previous)
    else:
        world.announce("customer.discount.created", discount)
    return world.save(customer)


def remove_discount(world: World, customer: Document) -> Document:
    """Take a customer's discount; return the customer."""
    if customer["discount"] is None:
        raise no_such("discount", customer["id"])
    discount, customer["discount"] = customer["discount"], None
    world.announce("customer.discount.deleted", discount)
    return world.save(customer)


def inherited_discounts(customer: ReadOnly, at: int) -> list[str]:
    """Return the id of the customer's discount if it has not ended."""
    discount = customer["discount"]
    ended = discount and discount["end"] is not None and discount["end"] <= at
    return [discount["id"]] if discount and not ended else []


def drop_inherited(world: World, customer: ReadOnly, used: list[str]) -> None:
    """Take the customer's discount if an invoice has used it up."""
    if used and coupon_of(world, used[0])["duration"] == "once":
        remove_discount(world, world.find("customer", customer["id"]))
