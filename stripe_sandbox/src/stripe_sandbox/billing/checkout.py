"""Checkout sessions: opening, expiry, recovery."""

from typing import Any

from stripe_sandbox.billing.cart import Cart, cart_of, keep_cart, price_cart
from stripe_sandbox.billing.cart_taxes import Payer, is_located, payer_known
from stripe_sandbox.billing.periods import DAY, HOUR
from stripe_sandbox.billing.setup_intents import open_setup
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.money import format_amount, minimum_charge
from stripe_sandbox.world import World

BLANK: ReadOnly = {
    "object": "checkout.session",
    "adaptive_pricing": {"enabled": False},
    "automatic_tax": {"enabled": False},
    "custom_fields": [],
    "custom_text": {},
    "livemode": False,
    "metadata": {},
    "mode": "subscription",
    "payment_method_collection": "always",
    "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
    "payment_method_types": ["card"],
    "payment_status": "unpaid",
    "phone_number_collection": {"enabled": False},
    "shipping_options": [],
    "status": "open",
    "ui_mode": "hosted_page",
}
"""Initial fields of a session."""

LIFETIME = 24 * HOUR
RECOVERY_LIFETIME = 30 * DAY


def open_session(world: World, cart: Cart, values: dict[str, Any]) -> Document:
    """Store a new open session for the cart; `values` are fields from the request."""
    sets_up = values.get("mode") == "setup"
    lines = [] if sets_up else price_cart(world, cart, values.get("customer"))
    session_id = world.ids.next("cs_test", 58)
    now = world.time_of(values)
    session = world.add(
        {
            **BLANK,
            "created": now,
            "expires_at": now + LIFETIME,
            **values,
            **(_set_up_later(world, values, cart) if sets_up else due_today(world, lines, cart)),
            "automatic_tax": tax_status(world, cart, payer_known(world, values.get("customer"))),
            "id": session_id,
            "url": f"{world.base_url}/c/pay/{session_id}",
        }
    )
    keep_cart(world, session_id, cart, lines)
    return session


def _set_up_later(world: World, values: ReadOnly, cart: Cart) -> Document:
    """Return the fields of a session that charges nothing and sets up a payment method."""
    given = {name: one for name, one in cart.setup_intent_data.items() if one is not None}
    kinds = values.get("payment_method_types") or ["card"]
    intent = open_setup(
        world,
        {"customer": values.get("customer"), "payment_method_types": list(kinds), **given},
    )
    return {"payment_status": "no_payment_required", "setup_intent": intent["id"]}


def due_today(world: World, lines: list[Document], cart: Cart) -> Document:
    """Return the session's amounts and discounts; raises ApiError below the minimum charge."""
    subtotal = sum(line["amount_subtotal"] for line in lines)
    total = sum(line["amount_total"] for line in lines)
    if not cart.recurring() or world.choices.checkout_minimum == "refuse":
        _check_minimum(total, cart.currency)
    return {
        "amount_subtotal": subtotal,
        "amount_total": total,
        "currency": cart.currency,
        "discounts": [_session_discount(given) for given in cart.discounts],
        "total_details": {
            "amount_discount": sum(line["amount_discount"] for line in lines),
            "amount_shipping": 0,
            "amount_tax": sum(line["amount_tax"] for line in lines),
        },
    }


def tax_status(world: World, cart: Cart, payer: Payer) -> Document:
    """Return a session's `automatic_tax`: whether it is known where the payer is."""
    if not cart.automatic_tax:
        return {"enabled": False}
    status = "complete" if is_located(world, payer) else "requires_location_inputs"
    return {
        "enabled": True,
        "liability": {"type": "self"},
        "provider": "stripe",
        "status": status,
    }


def _check_minimum(amount: int, currency: str) -> None:
    if 0 < amount < minimum_charge(currency):
        least = format_amount(minimum_charge(currency), currency)
        message = (
            f"The Checkout Session's total amount due must add up to at least {least} {currency}"
        )
        raise invalid(message, code="amount_too_small")


def _session_discount(given: ReadOnly) -> Document:
    return {"coupon": given.get("coupon"), "promotion_code": given.get("promotion_code")}


def asks_for_card(session: ReadOnly) -> bool:
    """Return whether the session requires a card."""
    optional = session["payment_method_collection"] == "if_required"
    return not (optional and session["amount_total"] == 0)


def success_address(session: ReadOnly) -> str:
    """Return the success URL with the session's id filled in."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def expire_session(world: World, session: Document) -> Document:
    """Expire an open session; raises ApiError if it is not open.

    With recovery enabled the session gets a recovery URL, valid for 30 days.
    """
    if session["status"] != "open":
        message = (
            f'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout '
            f"Session has a status of {session['status']}."
        )
        raise invalid(message)
    session |= {"status": "expired", "url": None}
    recovery = (session["after_expiration"] or {}).get("recovery")
    if recovery and recovery["enabled"]:
        recovery["expires_at"] = world.time_of(session) + RECOVERY_LIFETIME
        recovery["url"] = f"{world.base_url}/c/recover/{session['id']}"
    session = world.save(session)
    world.announce("checkout.session.expired", session)
    return session


def recover_session(world: World, session: ReadOnly) -> Document | None:
    """Return a new session like the expired one, or None if it cannot be recovered."""
    recovery = (session["after_expiration"] or {}).get("recovery") or {}
    now = world.time_of(session)
    if session["status"] != "expired" or (recovery.get("expires_at") or 0) <= now:
        return None
    settled = ("id", "url", "status", "created", "expires_at", "after_expiration", "amount_total",
               "amount_subtotal", "total_details", "discounts", "currency",
               "setup_intent")  # fmt: skip
    values = {name: value for name, value in session.items() if name not in settled}
    values["allow_promotion_codes"] = recovery["allow_promotion_codes"] or None
    cart = cart_of(world, session["id"])
    return open_session(world, cart, values | {"recovered_from": session["id"]})
