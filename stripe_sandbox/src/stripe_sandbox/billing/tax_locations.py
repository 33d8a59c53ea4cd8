"""Where a customer is taxed: the first place that is known of them, and whether it is enough."""

from dataclasses import dataclass

from stripe_sandbox.billing.customers import method_for
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError, invalid
from stripe_sandbox.world import World

IP_ADDRESS = "_customer_ip_address"
"""Kind of the IP addresses of customers."""

TEST_NETWORKS = {"192.0.2.": ("US", "NY"), "198.51.100.": ("DE", None), "203.0.113.": ("AU", None)}
"""The networks for documentation (RFC 5737), which the sandbox takes for these places."""

BY_POSTAL_CODE = frozenset({"CA", "US"})
"""Countries that do not tell a location by themselves."""

STATES = {"0": "NY", "1": "NY", "7": "TX", "9": "CA"}
"""States of the first digit of a postal code in the US, as far as the sandbox knows."""

WASHINGTON = ("980", "981", "982", "983", "984", "985", "986", "988", "989", "990", "991", "992",
              "993", "994")  # fmt: skip


@dataclass(frozen=True)
class Location:
    """A place that taxes can be computed for; `source` is what says so, in Stripe's words."""

    country: str
    state: str | None
    source: str


def locate(
    world: World, customer: ReadOnly, subscription: ReadOnly | None = None
) -> Location | None:
    """Return the location of a customer, or None if what is known is not enough.

    In this order: shipping address, billing address, payment method, IP address
    (docs.stripe.com/tax/customer-locations).
    """
    shipping = (customer.get("shipping") or {}).get("address")
    for address, source in (
        (shipping, "shipping_destination"),
        (customer.get("address"), "billing_address"),
    ):
        if address and any(address.values()):
            return _precise(address, source)
    return _of_method(world, customer, subscription) or _of_ip_address(world, customer)


def _precise(address: ReadOnly, source: str) -> Location | None:
    country, state = address.get("country"), address.get("state")
    if not country:
        return None
    if country not in BY_POSTAL_CODE:
        return Location(country, state, source)
    code = address.get("postal_code")
    return Location(country, state or _state(code), source) if code else None


def _state(postal_code: str) -> str | None:
    if postal_code.startswith(WASHINGTON):
        return "WA"
    return STATES.get(postal_code[0])


def _of_method(world: World, customer: ReadOnly, subscription: ReadOnly | None) -> Location | None:
    """Return what the billing details of the payment method say, with its card's country."""
    method_id = method_for(world, customer, subscription)
    method = world.store.peek("payment_method", method_id) if method_id else None
    if method is None:
        return None
    known = {n: v for n, v in (method["billing_details"]["address"] or {}).items() if v}
    card = method.get("card") or {}
    return _precise({"country": card.get("country"), **known}, "payment_method")


def _of_ip_address(world: World, customer: ReadOnly) -> Location | None:
    address = ip_address_of(world, customer) or ""
    places = (place for net, place in TEST_NETWORKS.items() if address.startswith(net))
    place = next(places, None)
    return Location(*place, "ip_address") if place else None


def ip_address_of(world: World, customer: ReadOnly) -> str | None:
    """Return the customer's IP address, if it is known."""
    kept = world.store.peek(IP_ADDRESS, customer["id"]) if customer.get("id") else None
    return str(kept["ip_address"]) if kept and kept["ip_address"] else None


def keep_ip_address(world: World, customer_id: str, address: str | None) -> None:
    """Store a customer's IP address."""
    world.store.put(IP_ADDRESS, {"id": customer_id, "ip_address": address})


def unknown_location() -> ApiError:
    """Return the error for a customer whose location is not known well enough."""
    return invalid(
        "The customer's location isn't recognized. Set a valid customer address in order to "
        "automatically calculate tax.",
        code="customer_tax_location_invalid",
    )


def as_document(location: Location) -> Document:
    """Return a location as a customer's `tax` has it."""
    return {"country": location.country, "source": location.source, "state": location.state}
