"""Customers and their payment methods."""

from stripe_sandbox.cards import TestCard, find_card, find_token
from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.errors import card_error, invalid, no_such
from stripe_sandbox.world import World

CARD = "_card"
EXPIRY = (12, 2034)


def make_customer(world: World, values: Document, test_clock: str | None = None) -> Document:
    """Store a new customer and announce it."""
    customer = world.add(
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
    world.announce("customer.created", customer)
    return customer


def create_payment_method(
    world: World,
    card: TestCard,
    *,
    expiry: tuple[int, int] = EXPIRY,
    name: str | None = None,
    email: str | None = None,
) -> Document:
    """Store a card as an unattached payment method; `expiry` is (month, year)."""
    month, year = expiry
    checks = {
        "address_line1_check": None,
        "address_postal_code_check": None,
        "cvc_check": "pass",
    } | dict.fromkeys(card.failed_checks, "fail")
    method = world.add(
        {
            "id": world.ids.next("pm"),
            "object": "payment_method",
            "allow_redisplay": "limited",
            "billing_details": {"name": name, "email": email, "address": {}},
            "card": {
                "brand": card.brand,
                "checks": checks,
                "country": card.country,
                "display_brand": card.brand,
                "exp_month": month,
                "exp_year": year,
                "fingerprint": card.fingerprint,
                "funding": card.funding,
                "last4": card.number[-4:],
                "networks": {"available": [card.brand], "preferred": None},
                "three_d_secure_usage": {"supported": True},
            },
            "created": world.now(),
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": {},
            "type": "card",
        }
    )
    world.store.put(CARD, {"id": method["id"], "number": card.number})
    return method


def attach_payment_method(world: World, reference: str, customer: ReadOnly, param: str) -> Document:
    """Attach a payment method to the customer; raises ApiError 402 if the card is declined.

    `reference` is an id, or a test payment method such as `pm_card_visa`.
    """
    token = find_token(reference)
    if token:
        method = create_payment_method(world, token)
    else:
        method = world.find("payment_method", reference, param)
        _check_attachable(world, method, customer)
    card = card_behind(world, method["id"])
    if card.decline and not card.attaches:
        decline = card.decline
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


def _clear_default(world: World, customer_id: str, method_id: str) -> None:
    """Take a detached payment method out of where it was the default."""
    customer = world.store.get("customer", customer_id)
    if customer and id_of(customer["invoice_settings"]["default_payment_method"]) == method_id:
        customer["invoice_settings"]["default_payment_method"] = None
        world.change(customer)
    for subscription in list(world.store.where("subscription", "customer", customer_id)):
        runs = subscription["ended_at"] is None
        if runs and id_of(subscription["default_payment_method"]) == method_id:
            world.change({**subscription, "default_payment_method": None})


def card_behind(world: World, method_id: str) -> TestCard:
    """Return the test card of a payment method."""
    kept = world.store.peek(CARD, method_id)
    if kept is None:
        raise no_such("payment_method", method_id, "payment_method")
    return find_card(kept["number"])


def method_for(world: World, customer: ReadOnly, subscription: ReadOnly | None) -> str | None:
    """Return the id of the payment method to charge: the subscription's or the customer's."""
    if subscription and subscription["default_payment_method"]:
        return id_of(subscription["default_payment_method"])
    settings = customer.get("invoice_settings") or {}
    return id_of(settings.get("default_payment_method"))
