"""The buyer at a hosted page, the customer that they are, and how they pay."""

from dataclasses import dataclass
from typing import Any

from stripe_sandbox.bank_accounts import Instrument
from stripe_sandbox.billing.customers import create_payment_method, make_customer
from stripe_sandbox.billing.method_shapes import EXPIRY, Holder
from stripe_sandbox.cards import Decline
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError, card_error
from stripe_sandbox.world import World


@dataclass(frozen=True)
class Buyer:
    """The buyer at a page, and the card or bank account that they pay with, if one is required."""

    name: str | None = None
    email: str | None = None
    instrument: Instrument | None = None
    expiry: tuple[int, int] = EXPIRY
    address: ReadOnly | None = None


def customer_of(world: World, session: ReadOnly, buyer: Buyer, update: ReadOnly) -> Document | None:
    """Return the customer of a Checkout session, updated as it says, or a new one.

    A guest is none: a session that creates a customer only if that is required.
    """
    email = session["customer_email"] or buyer.email
    if session["customer"]:
        customer = world.find("customer", session["customer"], "customer")
        return world.change(customer | _told(buyer, update))
    if session["customer_creation"] == "if_required":
        return None
    values: Document = {"email": email, "name": buyer.name}
    return make_customer(world, values | _told(buyer, {"address": "auto"}))


def _told(buyer: Buyer, update: ReadOnly) -> dict[str, Any]:
    """Return what the buyer has typed of what is to be kept (`customer_update`)."""
    typed = {"address": buyer.address, "name": buyer.name}
    return {name: one for name, one in typed.items() if one and update.get(name) == "auto"}


def keep_instrument(world: World, buyer: Buyer, email: str | None) -> str:
    """Store what the buyer pays with as an unattached payment method; return its id."""
    if buyer.instrument is None:
        raise ApiError(400, "A payment method is required.")
    holder = Holder(buyer.name, email or buyer.email, buyer.address, buyer.expiry)
    return str(create_payment_method(world, buyer.instrument, holder)["id"])


def refusal(decline: Decline) -> ApiError:
    """Return the error that a page shows for a decline."""
    return card_error(decline.message, code=decline.code, decline_code=decline.decline_code)
