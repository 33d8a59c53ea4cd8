"""Charges: what a payment intent has charged, or tried to."""

from stripe_sandbox.bank_accounts import Instrument
from stripe_sandbox.billing.balance import add_charge
from stripe_sandbox.billing.customers import instrument_behind
from stripe_sandbox.billing.mandates import mandate_of
from stripe_sandbox.billing.method_shapes import details_of, type_of
from stripe_sandbox.cards import BLOCKED, Decline
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

RISK_SCORES = {"normal": 20, "elevated": 65, "highest": 90}


def make_charge(
    world: World,
    intent: ReadOnly,
    decline: Decline | None,
    *,
    captured: bool = True,
    pending: bool = False,
) -> Document:
    """Store the charge of the intent's payment method; the caller announces it.

    A bank debit is `pending` until it succeeds or fails.
    """
    paid = decline is None and not pending
    charge = world.add(
        {
            "id": world.ids.next("ch"),
            "object": "charge",
            **_money(intent, captured=captured and decline is None, moved=paid),
            **_payer(world, intent),
            "created": world.time_of(intent),
            "description": intent["description"],
            "disputed": False,
            "fraud_details": {},
            "livemode": False,
            "metadata": intent["metadata"],
            "payment_intent": intent["id"],
            "receipt_email": intent.get("receipt_email"),
            "refunded": False,
            "shipping": intent.get("shipping"),
            "statement_descriptor": intent.get("statement_descriptor"),
            "statement_descriptor_suffix": intent.get("statement_descriptor_suffix"),
        }
    )
    return settle_charge(world, charge, decline, pending=pending)


def _money(intent: ReadOnly, *, captured: bool, moved: bool) -> Document:
    return {
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if captured and moved else 0,
        "amount_refunded": 0,
        "balance_transaction": None,
        "captured": captured,
        "currency": intent["currency"],
    }


def _payer(world: World, intent: ReadOnly) -> Document:
    method = world.view("payment_method", intent["payment_method"])
    instrument = instrument_behind(world, method["id"])
    return {
        "billing_details": method["billing_details"],
        "customer": intent["customer"],
        "payment_method": method["id"],
        "payment_method_details": details_of(method, instrument, mandate_of(world, method["id"])),
    }


def settle_charge(
    world: World, charge: Document, decline: Decline | None, *, pending: bool = False
) -> Document:
    """Store how a charge has ended, and take the money of one that is captured."""
    instrument = instrument_behind(world, charge["payment_method"])
    paid = decline is None and not pending
    charge |= {
        "failure_code": decline.code if decline else None,
        "failure_message": decline.message if decline else None,
        "outcome": _outcome(instrument, decline),
        "paid": paid,
        "receipt_url": f"{world.base_url}/receipts/{charge['id']}" if paid else None,
        "status": "pending" if pending else "succeeded" if paid else "failed",
    }
    if paid and charge["captured"]:
        charge["amount_captured"] = charge["amount"]
        charge["balance_transaction"] = take_money(world, charge)
    return world.save(charge)


def take_money(world: World, charge: ReadOnly) -> str:
    """Store the balance transaction of a captured charge; return its id."""
    instrument = instrument_behind(world, charge["payment_method"])
    return add_charge(
        world,
        charge,
        type_of(instrument),
        country=instrument.country,
        at_once=instrument.settles_at_once,
    )


def _outcome(instrument: Instrument, decline: Decline | None) -> Document:
    risk = {"risk_level": instrument.risk, "risk_score": RISK_SCORES[instrument.risk]}
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
        "reason": decline.decline_code or decline.code,
        "seller_message": "The bank did not return any further details with this decline.",
        "type": "issuer_declined",
        **risk,
    }
