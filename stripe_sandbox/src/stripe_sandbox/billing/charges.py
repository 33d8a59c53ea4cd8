"""Charges: what a payment intent has charged, or tried to."""

from stripe_sandbox.billing.balance import add_charge
from stripe_sandbox.billing.customers import card_behind
from stripe_sandbox.cards import BLOCKED, Decline, TestCard
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

CHECKS = ("address_line1_check", "address_postal_code_check", "cvc_check")
SHOWN = ("brand", "country", "exp_month", "exp_year", "fingerprint", "funding", "last4")
RISK_SCORES = {"normal": 20, "elevated": 65, "highest": 90}


def make_charge(
    world: World, intent: ReadOnly, decline: Decline | None, *, captured: bool = True
) -> Document:
    """Store the charge of the intent's payment method; the caller announces it."""
    charge_id = world.ids.next("ch")
    method = world.find("payment_method", intent["payment_method"])
    card = card_behind(world, method["id"])
    paid = decline is None
    charge = world.add(
        {
            "id": charge_id,
            "object": "charge",
            "amount": intent["amount"],
            "amount_captured": intent["amount"] if paid and captured else 0,
            "amount_refunded": 0,
            "balance_transaction": None,
            "billing_details": method["billing_details"],
            "captured": paid and captured,
            "created": world.time_of(intent),
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "disputed": False,
            "failure_code": decline.code if decline else None,
            "failure_message": decline.message if decline else None,
            "fraud_details": {},
            "livemode": False,
            "metadata": intent["metadata"],
            "outcome": _outcome(card, decline),
            "paid": paid,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": _details(method, card),
            "receipt_email": intent.get("receipt_email"),
            "receipt_url": f"{world.base_url}/receipts/{charge_id}" if paid else None,
            "refunded": False,
            "status": "succeeded" if paid else "failed",
        }
    )
    if charge["captured"]:
        charge["balance_transaction"] = take_money(world, charge)
        charge = world.save(charge)
    return charge


def take_money(world: World, charge: ReadOnly) -> str:
    """Store the balance transaction of a captured charge; return its id."""
    card = card_behind(world, charge["payment_method"])
    return add_charge(world, charge, country=card.country, at_once=card.settles_at_once)


def _details(method: ReadOnly, card: TestCard) -> Document:
    shown: Document = {name: method["card"][name] for name in SHOWN}
    checks = {name: "fail" if name in card.failed_checks else None for name in CHECKS}
    return {"card": {**shown, "checks": checks, "network": card.brand}, "type": "card"}


def _outcome(card: TestCard, decline: Decline | None) -> Document:
    risk = {"risk_level": card.risk, "risk_score": RISK_SCORES[card.risk]}
    if decline is None:
        return {
            "network_status": "approved_by_network",
            "seller_message": "Payment complete.",
            "type": "authorized",
            **risk,
        }
    if decline is BLOCKED:
        return {
            "network_status": "not_sent_to_network",
            "reason": "highest_risk_level",
            "seller_message": "Stripe blocked this payment as too risky.",
            "type": "blocked",
            **risk,
        }
    return {
        "network_status": "declined_by_network",
        "reason": decline.decline_code,
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
        **risk,
    }
