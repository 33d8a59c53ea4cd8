"""Checkout sessions: opening, completion, expiry, recovery."""

from dataclasses import dataclass
from typing import Any

from stripe_sandbox.billing.amounts import amount_of
from stripe_sandbox.billing.authentication import note_set_up
from stripe_sandbox.billing.cart import Cart, cart_of, keep_cart, price_cart
from stripe_sandbox.billing.customers import (
    attach_payment_method,
    create_payment_method,
    make_customer,
)
from stripe_sandbox.billing.discounts import Redemption, redeem
from stripe_sandbox.billing.invoices import collect
from stripe_sandbox.billing.lines import NewInvoiceItem, describe_price
from stripe_sandbox.billing.periods import DAY, HOUR, Period
from stripe_sandbox.billing.setup_intents import confirm_setup, open_setup
from stripe_sandbox.billing.subscriptions import (
    NewSubscription,
    PricedItem,
    bill_first_invoice,
    create_subscription,
)
from stripe_sandbox.cards import TestCard
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import card_error, invalid
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


@dataclass(frozen=True)
class Buyer:
    """The buyer at the payment page, and their card, if one is required."""

    name: str | None = None
    email: str | None = None
    card: TestCard | None = None
    expiry: tuple[int, int] = (12, 2034)


def open_session(world: World, cart: Cart, values: dict[str, Any]) -> Document:
    """Store a new open session for the cart; `values` are fields from the request."""
    lines = price_cart(world, cart, values.get("customer"))
    session_id = world.ids.next("cs_test", 58)
    now = world.time_of(values)
    session = world.add(
        {
            **BLANK,
            "created": now,
            "currency": cart.currency,
            "expires_at": now + LIFETIME,
            **values,
            **due_today(lines, cart),
            "id": session_id,
            "url": f"{world.base_url}/c/pay/{session_id}",
        }
    )
    keep_cart(world, session_id, cart, lines)
    return session


def due_today(lines: list[Document], cart: Cart) -> Document:
    """Return the session's amounts and discounts; raises ApiError below the minimum charge."""
    subtotal = sum(line["amount_subtotal"] for line in lines)
    total = sum(line["amount_total"] for line in lines)
    _check_minimum(total, cart.currency)
    return {
        "amount_subtotal": subtotal,
        "amount_total": total,
        "discounts": [_session_discount(given) for given in cart.discounts],
        "total_details": {
            "amount_discount": sum(line["amount_discount"] for line in lines),
            "amount_shipping": 0,
            "amount_tax": sum(line["amount_tax"] for line in lines),
        },
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


def complete_session(world: World, session: Document, buyer: Buyer) -> Document:
    """Complete the session: create the subscription, charge the card.

    Raises ApiError if the card is declined; the caller's transaction then rolls everything back.
    """
    cart = cart_of(world, session["id"])
    customer = _customer(world, session, buyer)
    method_id = _save_card(world, session, customer, buyer)
    subscription = _begin_subscription(world, session, cart, customer, method_id)
    now = subscription["created"]
    once = [_one_time_charge(world, item, subscription["id"], now) for item in cart.one_time()]
    invoice = bill_first_invoice(world, customer, subscription, once)
    if invoice["status"] == "open":
        _pay_now(world, invoice)
    subscription = world.save(subscription)
    world.announce("customer.subscription.created", subscription)
    return _close(world, session, customer, buyer, invoice)


def _customer(world: World, session: ReadOnly, buyer: Buyer) -> Document:
    if session["customer"]:
        return world.find("customer", session["customer"], "customer")
    email = session["customer_email"] or buyer.email
    return make_customer(world, {"email": email, "name": buyer.name})


def _save_card(world: World, session: ReadOnly, customer: ReadOnly, buyer: Buyer) -> str | None:
    """Attach the buyer's card; if nothing is charged with it now, a setup intent does so."""
    if buyer.card is None:
        return None
    method = create_payment_method(
        world, buyer.card, expiry=buyer.expiry, name=buyer.name, email=customer["email"]
    )
    method_id = str(method["id"])
    if session["amount_total"]:
        attach_payment_method(world, method_id, customer, "payment_method")
        note_set_up(world, method_id)
        return method_id
    intent = open_setup(world, {"customer": customer["id"]})
    decline = confirm_setup(world, intent, method_id, authenticated=True)
    if decline:
        raise card_error(decline.message, code=decline.code, decline_code=decline.decline_code)
    return method_id


def _begin_subscription(
    world: World, session: ReadOnly, cart: Cart, customer: ReadOnly, method_id: str | None
) -> Document:
    data = cart.subscription_data
    behavior = (data.get("trial_settings") or {}).get("end_behavior") or {}
    trial_end = cart.trial_end(world.time_of(customer))
    new = NewSubscription(
        customer=customer,
        items=cart.recurring(),
        trial_end=trial_end,
        metadata=data.get("metadata") or {},
        description=data.get("description"),
        default_payment_method=method_id,
        missing_payment_method=behavior.get("missing_payment_method", "create_invoice"),
        billing_mode=(data.get("billing_mode") or {}).get("type", "flexible"),
        default_tax_rates=cart.default_tax_rates,
    )
    subscription = create_subscription(world, new, "trialing" if trial_end else "active")
    redemption = Redemption(
        currency=cart.currency, at=subscription["created"], customer=customer["id"]
    )
    subscription["discounts"] = [
        redeem(
            world,
            given,
            redemption,
            subscription=subscription["id"],
            checkout_session=session["id"],
        )["id"]
        for given in cart.discounts
    ]
    return subscription


def _one_time_charge(
    world: World, item: PricedItem, subscription_id: str, now: int
) -> NewInvoiceItem:
    return NewInvoiceItem(
        amount=amount_of(item.price, item.quantity),
        currency=item.price["currency"],
        description=describe_price(world, item.price),
        period=Period(now, now),
        price=item.price,
        quantity=item.quantity,
        metadata=item.metadata,
        subscription=subscription_id,
        tax_rates=item.tax_rates,
    )


def _pay_now(world: World, invoice: Document) -> None:
    decline = collect(world, invoice, buyer_present=True)
    if decline:
        raise card_error(decline.message, code=decline.code, decline_code=decline.decline_code)


def _close(
    world: World, session: Document, customer: ReadOnly, buyer: Buyer, invoice: ReadOnly
) -> Document:
    session |= {
        "customer": customer["id"],
        "customer_details": {
            "address": {},
            "email": customer["email"] or buyer.email,
            "name": buyer.name or customer["name"],
            "phone": customer["phone"],
            "tax_exempt": "none",
            "tax_ids": [],
        },
        "invoice": invoice["id"],
        "payment_status": "paid" if session["amount_total"] else "no_payment_required",
        "status": "complete",
        "subscription": invoice["parent"]["subscription_details"]["subscription"],
        "url": None,
    }
    session = world.save(session)
    world.announce("checkout.session.completed", session)
    return session


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
               "amount_subtotal", "total_details", "discounts", "mode", "currency")  # fmt: skip
    values = {name: value for name, value in session.items() if name not in settled}
    values["allow_promotion_codes"] = recovery["allow_promotion_codes"] or None
    cart = cart_of(world, session["id"])
    return open_session(world, cart, values | {"recovered_from": session["id"]})
