"""Payments: payment intents, charges, and invoice payments."""

from stripe_sandbox.billing.customers import card_behind
from stripe_sandbox.cards import AUTHENTICATION, Decline
from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.errors import ApiError
from stripe_sandbox.world import World


def open_payment(world: World, invoice: ReadOnly) -> Document:
    """Create the payment intent and the invoice payment of a finalized invoice."""
    now = world.time_of(invoice)
    intent = _payment_intent(world, invoice, now)
    world.announce("payment_intent.created", intent)
    return world.add(
        {
            "id": world.ids.next("inpay"),
            "object": "invoice_payment",
            "amount_paid": None,
            "amount_requested": invoice["amount_due"],
            "created": now,
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": True,
            "livemode": False,
            "payment": {"payment_intent": intent["id"], "type": "payment_intent"},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )


def _payment_intent(world: World, invoice: ReadOnly, now: int) -> Document:
    intent_id = world.ids.next("pi")
    return world.add(
        {
            "id": intent_id,
            "object": "payment_intent",
            "amount": invoice["amount_due"],
            "amount_capturable": 0,
            "amount_received": 0,
            "capture_method": "automatic",
            "client_secret": f"{intent_id}_secret_{world.ids.letters(25)}",
            "confirmation_method": "automatic",
            "created": now,
            "currency": invoice["currency"],
            "customer": invoice["customer"],
            "description": _reason(invoice),
            "livemode": False,
            "metadata": {},
            "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
            "payment_method_types": ["card"],
            "setup_future_usage": "off_session",
            "status": "requires_payment_method",
        }
    )


def _reason(invoice: ReadOnly) -> str:
    reasons = {
        "subscription_create": "Subscription creation",
        "subscription_update": "Subscription update",
    }
    return reasons.get(invoice["billing_reason"], f"Payment for Invoice {invoice['number']}")


def payment_of(world: World, invoice_id: str) -> Document | None:
    """Return the invoice's default payment; None if nothing was due."""
    mine = (p for p in world.store.all("invoice_payment") if p["invoice"] == invoice_id)
    found = next(mine, None)
    return world.find("invoice_payment", found["id"]) if found else None


def charge_card(
    world: World, invoice: ReadOnly, method_id: str, *, buyer_present: bool
) -> Decline | None:
    """Charge the invoice's remaining amount; return the decline, if any.

    Creates a charge and updates the payment intent; the caller updates the invoice.
    """
    payment = payment_of(world, invoice["id"]) or open_payment(world, invoice)
    intent = world.find("payment_intent", str(id_of(payment["payment"]["payment_intent"])))
    intent["payment_method"] = method_id
    card = card_behind(world, method_id)
    if card.authenticates and not buyer_present:
        return _ask_for_authentication(world, intent)
    if card.decline:
        return _note_decline(world, intent, card.decline)
    _note_success(world, intent, payment)
    return None


def _ask_for_authentication(world: World, intent: Document) -> Decline:
    intent["status"] = "requires_action"
    intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {}}
    intent["last_payment_error"] = _payment_error(AUTHENTICATION)
    world.announce("payment_intent.requires_action", world.save(intent))
    return AUTHENTICATION


def _payment_error(decline: Decline) -> Document:
    return {
        "code": decline.code,
        "decline_code": decline.decline_code,
        "message": decline.message,
        "type": "card_error",
    }


def _note_decline(world: World, intent: Document, decline: Decline) -> Decline:
    charge = _charge(world, intent, decline)
    world.announce("charge.failed", charge)
    intent |= {
        "latest_charge": charge["id"],
        "last_payment_error": _payment_error(decline) | {"charge": charge["id"]},
        "payment_method": None,
        "status": "requires_payment_method",
    }
    world.announce("payment_intent.payment_failed", world.save(intent))
    return decline


def _note_success(world: World, intent: Document, payment: Document) -> None:
    charge = _charge(world, intent, None)
    world.announce("charge.succeeded", charge)
    intent |= {
        "amount_received": intent["amount"],
        "last_payment_error": None,
        "latest_charge": charge["id"],
        "next_action": None,
        "status": "succeeded",
    }
    world.announce("payment_intent.succeeded", world.save(intent))
    payment |= {"amount_paid": intent["amount"], "status": "paid"}
    payment["status_transitions"]["paid_at"] = charge["created"]
    world.save(payment)


def _charge(world: World, intent: ReadOnly, decline: Decline | None) -> Document:
    charge_id = world.ids.next("ch")
    method = world.find("payment_method", intent["payment_method"])
    paid = decline is None
    return world.add(
        {
            "id": charge_id,
            "object": "charge",
            "amount": intent["amount"],
            "amount_captured": intent["amount"] if paid else 0,
            "amount_refunded": 0,
            "balance_transaction": None,
            "billing_details": method["billing_details"],
            "captured": paid,
            "created": world.time_of(intent),
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "disputed": False,
            "failure_code": decline.code if decline else None,
            "failure_message": decline.message if decline else None,
            "fraud_details": {},
            "livemode": False,
            "metadata": {},
            "outcome": _outcome(decline),
            "paid": paid,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": {"card": _card_details(method["card"]), "type": "card"},
            "receipt_url": f"{world.base_url}/receipts/{charge_id}" if paid else None,
            "refunded": False,
            "status": "succeeded" if paid else "failed",
        }
    )


def _card_details(card: ReadOnly) -> Document:
    shown = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
    return {name: card[name] for name in shown}


def _outcome(decline: Decline | None) -> Document:
    if decline is None:
        return {
            "network_status": "approved_by_network",
            "risk_level": "normal",
            "seller_message": "Payment complete.",
            "type": "authorized",
        }
    return {
        "network_status": "declined_by_network",
        "reason": decline.decline_code,
        "risk_level": "normal",
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
    }


def cancel_payment(world: World, invoice: ReadOnly) -> None:
    """Cancel the payment of a void invoice."""
    payment = payment_of(world, invoice["id"])
    if payment is None or payment["status"] != "open":
        return
    now = world.time_of(invoice)
    payment["status"] = "canceled"
    payment["status_transitions"]["canceled_at"] = now
    world.save(payment)
    intent = world.find("payment_intent", str(id_of(payment["payment"]["payment_intent"])))
    intent |= {"canceled_at": now, "cancellation_reason": "void_invoice", "status": "canceled"}
    world.announce("payment_intent.canceled", world.save(intent))


def as_api_error(world: World, decline: Decline, invoice: ReadOnly) -> ApiError:
    """Return the 402 for a decline."""
    payment = payment_of(world, invoice["id"])
    intent = payment and world.store.get("payment_intent", payment["payment"]["payment_intent"])
    return ApiError(
        402,
        decline.message,
        kind="card_error",
        code="invoice_payment_intent_requires_action"
        if decline is AUTHENTICATION
        else decline.code,
        decline_code=decline.decline_code,
        payment_intent=intent,
        keeps_changes=True,
    )
