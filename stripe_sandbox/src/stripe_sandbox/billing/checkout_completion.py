"""What completes a Checkout session: a subscription, a payment, or a payment method set up."""

from collections.abc import Callable, Mapping

from stripe_sandbox.billing.authentication import note_set_up
from stripe_sandbox.billing.automatic_tax import set_automatic_tax
from stripe_sandbox.billing.buyers import Buyer, customer_of, keep_instrument, refusal
from stripe_sandbox.billing.cart import Cart, cart_of
from stripe_sandbox.billing.cart_changes import price_again
from stripe_sandbox.billing.cart_taxes import is_located, payer_at_page
from stripe_sandbox.billing.collection import charge_invoice, collect
from stripe_sandbox.billing.customers import CARD, attach_payment_method
from stripe_sandbox.billing.invoices import finalize_invoice
from stripe_sandbox.billing.order_invoices import (
    draft_order,
    is_billed_later,
    keep_discounts,
    one_time_charge,
    redeem_cart,
)
from stripe_sandbox.billing.payment_intents import charge_intent, open_intent
from stripe_sandbox.billing.payments import intent_of, payment_of
from stripe_sandbox.billing.setup_intents import confirm_setup, open_setup
from stripe_sandbox.billing.subscription_bills import (
    bill_first_invoice,
)
from stripe_sandbox.billing.subscriptions import (
    NewSubscription,
    create_subscription,
    set_status,
)
from stripe_sandbox.billing.tax_locations import unknown_location
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World


def complete_session(world: World, session: Document, buyer: Buyer) -> Document:
    """Complete a session: charge or set up what the buyer pays with, and make what they buy.

    Raises ApiError if the card is declined; the caller's transaction then rolls everything back.
    """
    cart = cart_of(world, session["id"])
    if cart.automatic_tax:
        session = _tax(world, session, cart, buyer)
    customer = customer_of(world, session, buyer, cart.customer_update)
    made = COMPLETE[session["mode"]](world, session, cart, customer, buyer)
    session |= {
        "customer": customer["id"] if customer else None,
        "customer_details": _details(session, customer, buyer),
        "collected_information": _collected(session, buyer),
        "status": "complete",
        "url": None,
        **made,
    }
    session = world.save(session)
    world.announce("checkout.session.completed", session)
    return session


def _tax(world: World, session: Document, cart: Cart, buyer: Buyer) -> Document:
    """Price the session where its buyer is; raises ApiError if that is not known."""
    payer = payer_at_page(world, session, buyer, cart.customer_update)
    if not is_located(world, payer):
        raise unknown_location()
    return price_again(world, session, cart, payer)


def _details(session: ReadOnly, customer: ReadOnly | None, buyer: Buyer) -> Document:
    known = customer or {
        "email": session["customer_email"],
        "name": None,
        "phone": None,
        "tax_exempt": "none",
    }
    return {
        "address": dict(buyer.address or {}),
        "business_name": buyer.business_name,
        "email": known["email"] or buyer.email,
        "name": buyer.name or known["name"],
        "phone": known["phone"],
        "tax_exempt": known["tax_exempt"],
        "tax_ids": [dict(buyer.tax_id)] if buyer.tax_id else [],
    }


def _collected(session: ReadOnly, buyer: Buyer) -> Document | None:
    """Return what the page has asked for beside the payment, if it has."""
    collects = (session["tax_id_collection"] or {}).get("enabled")
    if not collects and not session["shipping_address_collection"]:
        return None
    shipping = buyer.shipping and {name: buyer.shipping[name] for name in ("address", "name")}
    return {"business_name": buyer.business_name, "shipping_details": shipping}


def _subscribe(
    world: World, session: Document, cart: Cart, customer: Document | None, buyer: Buyer
) -> Document:
    if customer is None:
        raise TypeError("a session that subscribes creates its customer")
    method_id = _save_method(world, session, customer, buyer)
    subscription = _begin_subscription(world, session, cart, customer, method_id)
    now, subscription_id = subscription["created"], subscription["id"]
    once = [one_time_charge(world, item, now, subscription_id) for item in cart.one_time()]
    invoice = bill_first_invoice(world, customer, subscription, once)
    if invoice["status"] == "open":
        decline = collect(world, invoice, buyer_present=True)
        if decline:
            raise refusal(decline)
        if world.choices.debit_first_payment == "incomplete" and invoice["status"] == "open":
            set_status(subscription, "incomplete")
    subscription = world.save(subscription)
    world.announce("customer.subscription.created", subscription)
    return {
        "invoice": invoice["id"],
        "payment_status": _status(session, paid=invoice["status"] == "paid"),
        "subscription": subscription_id,
    }


def _status(session: ReadOnly, *, paid: bool) -> str:
    if not session["amount_total"]:
        return "no_payment_required"
    return "paid" if paid else "unpaid"


def _save_method(world: World, session: ReadOnly, customer: ReadOnly, buyer: Buyer) -> str | None:
    """Attach what the buyer pays with; if nothing is charged now, a setup intent does so."""
    if buyer.instrument is None:
        return None
    method_id = keep_instrument(world, buyer, customer["email"])
    if session["amount_total"]:
        attach_payment_method(world, method_id, customer, "payment_method")
        note_set_up(world, method_id)
        return method_id
    intent = open_setup(world, {"customer": customer["id"]})
    decline = confirm_setup(world, intent, method_id, authenticated=True)
    if decline:
        raise refusal(decline)
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
        repeats_prices=world.choices.repeated_prices == "items",
    )
    subscription = create_subscription(world, new, "trialing" if trial_end else "active")
    if cart.automatic_tax:
        set_automatic_tax(world, subscription, enabled=True)
    subscription["discounts"] = redeem_cart(world, session, cart, customer, subscription["id"])
    return subscription


def _pay(
    world: World, session: Document, cart: Cart, customer: Document | None, buyer: Buyer
) -> Document:
    """Take a payment that begins nothing; with `invoice_creation` it has an invoice."""
    billed = customer if session["invoice_creation"]["enabled"] else None
    if billed and not is_billed_later(world, buyer):
        return _pay_by_invoice(world, session, cart, billed, buyer)
    discounts = redeem_cart(world, session, cart, customer)
    if billed:
        keep_discounts(world, session, discounts)
    if not session["amount_total"]:
        return {"payment_status": "no_payment_required"}
    email = customer["email"] if customer else session["customer_email"]
    method_id = keep_instrument(world, buyer, email)
    intent = _open_payment(world, session, cart, customer)
    decline = charge_intent(world, intent, method_id, buyer_present=True, authenticated=True)
    if decline:
        raise refusal(decline)
    if customer and intent["setup_future_usage"]:
        attach_payment_method(world, method_id, customer, "payment_method")
        note_set_up(world, method_id)
    else:
        _use_up(world, method_id)
    paid = intent["status"] == "succeeded"
    return {"payment_intent": intent["id"], "payment_status": _status(session, paid=paid)}


def _open_payment(
    world: World, session: ReadOnly, cart: Cart, customer: ReadOnly | None
) -> Document:
    given = {name: one for name, one in cart.payment_intent_data.items() if one is not None}
    values = {
        "amount": session["amount_total"],
        "currency": session["currency"],
        "customer": customer["id"] if customer else None,
        "payment_method_types": list(session["payment_method_types"]),
        **given,
    }
    return open_intent(world, values)


def _use_up(world: World, method_id: str) -> None:
    """Let a payment method that was used once, without being saved, never be used again."""
    world.store.put(CARD, {**(world.store.peek(CARD, method_id) or {}), "detached": True})


def _pay_by_invoice(
    world: World, session: Document, cart: Cart, customer: Document, buyer: Buyer
) -> Document:
    discounts = redeem_cart(world, session, cart, customer)
    invoice = finalize_invoice(world, draft_order(world, session, cart, customer, discounts))
    if invoice["status"] == "open":
        method_id = keep_instrument(world, buyer, customer["email"])
        attach_payment_method(world, method_id, customer, "payment_method")
        note_set_up(world, method_id)
        decline = charge_invoice(world, invoice, method_id, buyer_present=True)
        if decline:
            raise refusal(decline)
    payment = payment_of(world, invoice["id"])
    return {
        "invoice": invoice["id"],
        "payment_intent": intent_of(world, payment)["id"] if payment else None,
        "payment_status": _status(session, paid=invoice["status"] == "paid"),
    }


def _set_up(
    world: World, session: Document, _: Cart, customer: Document | None, buyer: Buyer
) -> Document:
    """Set up what the buyer will pay with later."""
    email = customer["email"] if customer else session["customer_email"]
    method_id = keep_instrument(world, buyer, email)
    intent = world.find("setup_intent", session["setup_intent"])
    intent["customer"] = customer["id"] if customer else None
    decline = confirm_setup(world, intent, method_id, authenticated=True)
    if decline:
        raise refusal(decline)
    return {"payment_status": "no_payment_required"}


COMPLETE: Mapping[str, Callable[[World, Document, Cart, Document | None, Buyer], Document]] = {
    "payment": _pay,
    "setup": _set_up,
    "subscription": _subscribe,
}
