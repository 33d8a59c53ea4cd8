"""Checkout sessions: what an order costs, its completion, expiry and recovery."""

from dataclasses import dataclass, field
from typing import Any

from stripe_sandbox import shapes
from stripe_sandbox.billing.customers import (
    attach_payment_method,
    create_payment_method,
    make_customer,
)
from stripe_sandbox.billing.discounts import find_coupon, redeem, reduce_amounts
from stripe_sandbox.billing.invoices import collect
from stripe_sandbox.billing.lines import Charge, describe_price
from stripe_sandbox.billing.periods import DAY, HOUR, Period
from stripe_sandbox.billing.subscriptions import (
    OrderItem,
    Terms,
    bill_first_invoice,
    create_subscription,
)
from stripe_sandbox.cards import TestCard
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import card_error, invalid
from stripe_sandbox.world import World

ORDER = "_session_order"
"""What a session was made of beyond what the object shows."""

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
"""What every session begins as."""

LIFETIME = 24 * HOUR
RECOVERY_LIFETIME = 30 * DAY


@dataclass(frozen=True)
class Buyer:
    """Who pays at the hosted page, and with which card, if one is asked for."""

    name: str | None = None
    email: str | None = None
    card: TestCard | None = None
    expiry: tuple[int, int] = (12, 2034)


@dataclass(frozen=True)
class Order:
    """The lines of a session (price, quantity, metadata) and how their subscription is to be."""

    items: list[OrderItem]
    subscription_data: ReadOnly = field(default_factory=dict)
    discounts: list[ReadOnly] = field(default_factory=list)

    @property
    def currency(self) -> str:
        """The currency of every line."""
        return str(self.items[0].price["currency"])

    def recurring(self) -> list[OrderItem]:
        """Return the lines that become the subscription."""
        return [item for item in self.items if item.price["type"] == "recurring"]

    def one_time(self) -> list[OrderItem]:
        """Return the lines that are charged once, on the first invoice."""
        return [item for item in self.items if item.price["type"] == "one_time"]

    def has_trial(self) -> bool:
        """Tell whether the subscription begins with a trial."""
        data = self.subscription_data
        return bool(data.get("trial_period_days") or data.get("trial_end"))

    def trial_end(self, now: int) -> int | None:
        """Return when the trial ends if it begins now, in Unix seconds."""
        data = self.subscription_data
        if data.get("trial_end"):
            return int(data["trial_end"])
        days = data.get("trial_period_days")
        return now + days * DAY if days else None


def price_order(world: World, order: Order) -> list[Document]:
    """Return the session's line items with what each costs today, discounts taken off."""
    amounts = [_due_today(order, item) for item in order.items]
    reductions = [0] * len(amounts)
    for given in order.discounts:
        coupon, _ = find_coupon(world, given, "discounts[0]")
        products = [item.price["product"] for item in order.items]
        reductions = reduce_amounts(amounts, products, coupon)
    return [
        _line_item(world, item, amount, reduction)
        for item, amount, reduction in zip(order.items, amounts, reductions, strict=True)
    ]


def _due_today(order: Order, item: OrderItem) -> int:
    waits_for_trial = order.has_trial() and item.price["type"] == "recurring"
    return 0 if waits_for_trial else (item.price["unit_amount"] or 0) * item.quantity


def _line_item(world: World, item: OrderItem, amount: int, reduction: int) -> Document:
    return shapes.complete(
        {
            "id": world.ids.next("li"),
            "object": "item",
            "amount_discount": reduction,
            "amount_subtotal": amount,
            "amount_tax": 0,
            "amount_total": amount - reduction,
            "currency": item.price["currency"],
            "description": describe_price(world, item.price),
            "discounts": [],
            "metadata": dict(item.metadata),
            "price": dict(item.price),
            "quantity": item.quantity,
            "taxes": [],
        }
    )


def open_session(world: World, order: Order, values: dict[str, Any]) -> Document:
    """Keep a new open session of the order; `values` are the fields that the caller chose."""
    lines = price_order(world, order)
    session_id = world.ids.next("cs_test", 58)
    subtotal = sum(line["amount_subtotal"] for line in lines)
    discount = sum(line["amount_discount"] for line in lines)
    now = world.time_of(values)
    session = world.add(
        {
            **BLANK,
            "amount_subtotal": subtotal,
            "amount_total": subtotal - discount,
            "created": now,
            "currency": order.currency,
            "expires_at": now + LIFETIME,
            "total_details": {
                "amount_discount": discount,
                "amount_shipping": 0,
                "amount_tax": 0,
            },
            **values,
            "discounts": [_session_discount(given) for given in order.discounts],
            "id": session_id,
            "url": f"{world.base_url}/c/pay/{session_id}",
        }
    )
    world.store.put(ORDER, _kept_order(session_id, order, lines))
    return session


def _session_discount(given: ReadOnly) -> Document:
    return {"coupon": given.get("coupon"), "promotion_code": given.get("promotion_code")}


def _kept_order(session_id: str, order: Order, lines: list[Document]) -> Document:
    return {
        "id": session_id,
        "line_items": lines,
        "subscription_data": dict(order.subscription_data),
        "discounts": [dict(given) for given in order.discounts],
    }


def order_of(world: World, session_id: str) -> Order:
    """Return what the session sells."""
    kept = world.store.peek(ORDER, session_id) or {}
    items = [
        OrderItem(line["price"], line["quantity"], line["metadata"]) for line in kept["line_items"]
    ]
    return Order(items, kept["subscription_data"], kept["discounts"])


def line_items_of(world: World, session_id: str) -> list[Document]:
    """Return the session's line items as the API lists them."""
    kept = world.store.get(ORDER, session_id)
    lines: list[Document] = kept["line_items"] if kept else []
    return lines


def asks_for_card(session: ReadOnly) -> bool:
    """Tell whether the buyer has to give a card."""
    optional = session["payment_method_collection"] == "if_required"
    return not (optional and session["amount_total"] == 0)


def complete_session(world: World, session: Document, buyer: Buyer) -> Document:
    """Take the order: charge the card, begin the subscription, complete the session.

    Runs in a transaction of the caller, and raises ApiError for a declined card: then nothing of
    it has happened. Returns the completed session.
    """
    order = order_of(world, session["id"])
    customer = _customer(world, session, buyer)
    method_id = _save_card(world, customer, buyer)
    subscription = _begin_subscription(world, session, order, customer, method_id)
    now = subscription["created"]
    once = [_one_time_charge(world, item, subscription["id"], now) for item in order.one_time()]
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


def _save_card(world: World, customer: ReadOnly, buyer: Buyer) -> str | None:
    if buyer.card is None:
        return None
    method = create_payment_method(
        world, buyer.card, expiry=buyer.expiry, name=buyer.name, email=customer["email"]
    )
    attach_payment_method(world, method["id"], customer, "payment_method")
    return str(method["id"])


def _begin_subscription(
    world: World, session: ReadOnly, order: Order, customer: ReadOnly, method_id: str | None
) -> Document:
    data = order.subscription_data
    behavior = (data.get("trial_settings") or {}).get("end_behavior") or {}
    trial_end = order.trial_end(world.time_of(customer))
    terms = Terms(
        customer=customer,
        items=order.recurring(),
        trial_end=trial_end,
        metadata=data.get("metadata") or {},
        description=data.get("description"),
        default_payment_method=method_id,
        missing_payment_method=behavior.get("missing_payment_method", "create_invoice"),
        billing_mode=(data.get("billing_mode") or {}).get("type", "flexible"),
    )
    subscription = create_subscription(world, terms, "trialing" if trial_end else "active")
    subscription["discounts"] = [
        redeem(
            world,
            given,
            customer=customer["id"],
            start=subscription["created"],
            subscription=subscription["id"],
            checkout_session=session["id"],
        )["id"]
        for given in order.discounts
    ]
    return subscription


def _one_time_charge(world: World, item: OrderItem, subscription_id: str, now: int) -> Charge:
    return Charge(
        amount=(item.price["unit_amount"] or 0) * item.quantity,
        currency=item.price["currency"],
        description=describe_price(world, item.price),
        period=Period(now, now),
        price=item.price,
        quantity=item.quantity,
        metadata=item.metadata,
        subscription=subscription_id,
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
    """Return where the buyer goes after paying, with the session's id in its place."""
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def expire_session(world: World, session: Document) -> Document:
    """Close an open session unpaid; raises ApiError for any other.

    With recovery enabled the session gets the address that opens it again, good for 30 days.
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
    """Return a new open session like the expired one, or None where recovery is not to be had."""
    recovery = (session["after_expiration"] or {}).get("recovery") or {}
    now = world.time_of(session)
    if session["status"] != "expired" or (recovery.get("expires_at") or 0) <= now:
        return None
    settled = ("id", "url", "status", "created", "expires_at", "after_expiration", "amount_total",
               "amount_subtotal", "total_details", "discounts", "mode", "currency")  # fmt: skip
    values = {name: value for name, value in session.items() if name not in settled}
    order = order_of(world, session["id"])
    return open_session(world, order, values | {"recovered_from": session["id"]})
