"""Customers and their payment methods."""

from stripe_sandbox.bank_accounts import LINK, Instrument, find_account, find_test_method
from stripe_sandbox.billing.method_shapes import Holder, facts_of, type_of
from stripe_sandbox.cards import find_card
from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.errors import card_error, invalid, no_such
from stripe_sandbox.world import World

CARD = "_card"
"""Kind of the notes about a payment method that the object itself does not show."""

NOBODY = Holder()
ADDRESS = ("city", "country", "line1", "line2", "postal_code", "state")


def make_customer(world: World, values: Document, test_clock: str | None = None) -> Document:
    """Store a new customer and announce it."""
    customer = add_customer(world, values, test_clock)
    world.announce("customer.created", customer)
    return customer


def add_customer(world: World, values: Document, test_clock: str | None = None) -> Document:
    """Store a new customer without an event."""
    return world.add(
        {
            "id": world.ids.next("cus"),
            "object": "customer",
            "balance": 0,
            "created": world.now(test_clock),
            "default_source": None,
            "delinquent": False,
            "invoice_prefix": world.ids.letters(8).upper(),
            "invoice_settings": {},
            "livemode": False,
            "metadata": {},
            "next_invoice_sequence": 1,
            "preferred_locales": [],
            "tax_exempt": "none",
            "test_clock": test_clock,
            **values,
        }
    )


def create_payment_method(
    world: World, instrument: Instrument, holder: Holder = NOBODY, *, prefix: str = "pm"
) -> Document:
    """Store an unattached payment method."""
    kind = type_of(instrument)
    address = {name: holder.address.get(name) for name in ADDRESS} if holder.address else {}
    method = world.add(
        {
            "id": world.ids.next(prefix),
            "object": "payment_method",
            "allow_redisplay": "limited",
            "billing_details": {"name": holder.name, "email": holder.email, "address": address},
            kind: facts_of(instrument, holder),
            "created": world.now(),
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": {},
            "type": kind,
        }
    )
    world.store.put(CARD, {"id": method["id"], "number": instrument.number, "type": kind})
    return method


def attach_payment_method(world: World, reference: str, customer: ReadOnly, param: str) -> Document:
    """Attach a payment method to the customer; raises ApiError 402 if the card is declined.

    `reference` is an id, or a test payment method such as `pm_card_visa`.
    """
    token = find_test_method(reference)
    if token:
        method = create_payment_method(world, token)
    else:
        method = world.find("payment_method", reference, param)
        _check_attachable(world, method, customer)
    instrument = instrument_behind(world, method["id"])
    if instrument.decline and not instrument.attaches:
        decline = instrument.decline
        raise card_error(decline.message, code=decline.code, decline_code=decline.decline_code)
    method["customer"] = customer["id"]
    method["created"] = world.time_of(customer)
    method = world.save(method)
    world.announce("payment_method.attached", method)
    return method


def _check_attachable(world: World, method: ReadOnly, customer: ReadOnly) -> None:
    if (world.store.peek(CARD, method["id"]) or {}).get("detached"):
        raise invalid(
            "This PaymentMethod was previously used without being attached to a Customer or was "
            "detached from a Customer, and may not be used again."
        )
    if method["customer"] not in {None, customer["id"]}:
        raise invalid("The payment method you provided has already been attached to a customer.")


def check_owner(world: World, method_id: str, customer_id: str, param: str) -> str:
    """Return the payment method's id; raises ApiError if it is not attached to the customer."""
    method = world.find("payment_method", method_id, param)
    if method["customer"] != customer_id:
        message = (
            f"The customer does not have a payment method with the ID {method_id}. The payment "
            "method must be attached to the customer."
        )
        raise invalid(message, param=param, code="resource_missing")
    return method_id


def detach_payment_method(world: World, method_id: str) -> Document:
    """Detach a payment method for good: it cannot be attached again."""
    method = world.find("payment_method", method_id)
    if method["customer"] is None:
        raise invalid(
            "The payment method you provided is not attached to a customer so detachment is "
            "impossible."
        )
    world.store.put(CARD, {**(world.store.peek(CARD, method_id) or {}), "detached": True})
    customer_id, method["customer"] = str(method["customer"]), None
    method = world.save(method)
    world.announce("payment_method.detached", method, previous={"customer": customer_id})
    _clear_default(world, customer_id, method_id)
    return method


def use_card(world: World, customer_id: str, method_id: str) -> None:
    """Make a payment method the default of a customer and of their subscriptions."""
    customer = world.find("customer", customer_id)
    customer["invoice_settings"]["default_payment_method"] = method_id
    world.change(customer)
    for subscription in list(world.store.where("subscription", "customer", customer_id)):
        if subscription["ended_at"] is None:
            world.change({**subscription, "default_payment_method": method_id})


def renew_card(world: World, method_id: str, expiry: ReadOnly, number: str | None) -> Document:
    """Change a saved card's details, and announce that its network has done so."""
    method = world.find("payment_method", method_id, "payment_method")
    if method["type"] != "card" or method["customer"] is None:
        raise invalid("Only a saved card is updated automatically.", param="payment_method")
    if number:
        card = find_card(number)
        month, year = method["card"]["exp_month"], method["card"]["exp_year"]
        method["card"] |= facts_of(card, Holder(expiry=(month, year)))
        noted = world.store.peek(CARD, method_id) or {}
        world.store.put(CARD, {**noted, "number": number})
    method["card"] |= expiry
    return world.change(method, event="payment_method.automatically_updated")


def _clear_default(world: World, customer_id: str, method_id: str) -> None:
    """Take a detached payment method out of where it was the default."""
    if world.choices.detached_default == "kept":
        return
    customer = world.store.get("customer", customer_id)
    if customer and id_of(customer["invoice_settings"]["default_payment_method"]) == method_id:
        customer["invoice_settings"]["default_payment_method"] = None
        world.change(customer)
    for subscription in list(world.store.where("subscription", "customer", customer_id)):
        runs = subscription["ended_at"] is None
        if runs and id_of(subscription["default_payment_method"]) == method_id:
            world.change({**subscription, "default_payment_method": None})


def instrument_behind(world: World, method_id: str) -> Instrument:
    """Return the test card or bank account of a payment method."""
    kept = world.store.peek(CARD, method_id)
    if kept is None:
        raise no_such("payment_method", method_id, "payment_method")
    kind = kept.get("type", "card")
    if kind == "link":
        return LINK
    return find_card(kept["number"]) if kind == "card" else find_account(kept["number"], kind)


def method_for(world: World, customer: ReadOnly, subscription: ReadOnly | None) -> str | None:
    """Return the id of the payment method to charge: the subscription's or the customer's."""
    if subscription and subscription["default_payment_method"]:
        return id_of(subscription["default_payment_method"])
    settings = customer.get("invoice_settings") or {}
    return id_of(settings.get("default_payment_method")) or id_of(customer.get("default_source"))
