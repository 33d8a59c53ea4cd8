"""The buyer at a hosted page, the customer that they are, and how they pay."""

from dataclasses import dataclass
from typing import Any

from stripe_sandbox.bank_accounts import Instrument
from stripe_sandbox.billing.customers import create_payment_method, make_customer
from stripe_sandbox.billing.method_shapes import EXPIRY, Holder
from stripe_sandbox.billing.tax_ids import make_tax_id
from stripe_sandbox.cards import Decline
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError, card_error
from stripe_sandbox.world import World


@dataclass(frozen=True)
class Buyer:
    """The buyer at a page, and the card or bank account that they pay with, if one is required.

    `tax_id` has a type and a value, `shipping` a name and an address.
    """

    name: str | None = None
    email: str | None = None
    instrument: Instrument | None = None
    expiry: tuple[int, int] = EXPIRY
    address: ReadOnly | None = None
    shipping: ReadOnly | None = None
    tax_id: ReadOnly | None = None
    business_name: str | None = None


NEW: ReadOnly = {"address": "auto", "name": "auto", "shipping": "auto"}
"""What is kept of a buyer who becomes a customer."""


def customer_of(world: World, session: ReadOnly, buyer: Buyer, update: ReadOnly) -> Document | None:
    """Return the customer of a Checkout session, updated as it says, or a new one.

    A guest is none: a session that creates a customer only if that is required.
    """
    if session["customer"]:
        customer = world.find("customer", session["customer"], "customer")
        customer = world.change(customer | told(buyer, update))
    elif session["customer_creation"] == "if_required":
        return None
    else:
        email = session["customer_email"] or buyer.email
        values: Document = {"email": email, "name": buyer.name}
        customer = make_customer(world, values | told(buyer, {}, is_new=True))
    if buyer.tax_id:
        make_tax_id(world, customer, buyer.tax_id["type"], buyer.tax_id["value"], "tax_id")
    return customer


def told(buyer: Buyer, update: ReadOnly, *, is_new: bool = False) -> dict[str, Any]:
    """Return what the buyer has typed of what is to be kept (`customer_update`)."""
    kept = NEW if is_new else update
    typed = {
        "address": buyer.address,
        "name": buyer.business_name or buyer.name,
        "shipping": buyer.shipping,
    }
    return {name: one for name, one in typed.items() if one and kept.get(name) == "auto"}


def keep_instrument(world: World, buyer: Buyer, email: str | None) -> str:
    """Store what the buyer pays with as an unattached payment method; return its id."""
    if buyer.instrument is None:
        raise ApiError(400, "A payment method is required.")
    holder = Holder(buyer.name, email or buyer.email, buyer.address, buyer.expiry)
    return str(create_payment_method(world, buyer.instrument, holder)["id"])


def refusal(decline: Decline) -> ApiError:
    """Return the error that a page shows for a decline."""
    return card_error(decline.message, code=decline.code, decline_code=decline.decline_code)
