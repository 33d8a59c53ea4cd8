"""Charges without a payment intent, as the older API makes them."""

from dataclasses import dataclass

from stripe_sandbox.billing.bank_sources import KIND as BANK_ACCOUNT
from stripe_sandbox.billing.bank_sources import refuse_charging
from stripe_sandbox.billing.card_sources import OLD_CARD, SOURCE, find_source, use_token
from stripe_sandbox.billing.charges import make_charge, take_money
from stripe_sandbox.billing.consequences import plan_consequence
from stripe_sandbox.billing.customers import instrument_behind, method_for
from stripe_sandbox.cards import AUTHENTICATION, Decline
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import card_error, invalid
from stripe_sandbox.world import World


@dataclass(frozen=True)
class NewCharge:
    """What to charge: `values` are those of the charge itself, with amount and currency."""

    values: ReadOnly
    customer: ReadOnly | None
    source: str | None
    captured: bool


def charge_directly(world: World, new: NewCharge) -> Document:
    """Charge a token, a source or a customer's default; raises ApiError 402 if it is declined."""
    method_id = _method(world, new)
    instrument = instrument_behind(world, method_id)
    decline = AUTHENTICATION if instrument.authentication == "always" else instrument.decline
    intent = {
        "id": None,
        "customer": new.customer["id"] if new.customer else None,
        "payment_method": method_id,
        **new.values,
    }
    charge = make_charge(world, intent, decline, captured=new.captured)
    charge["source"] = world.store.get(OLD_CARD, method_id) or world.store.get(SOURCE, method_id)
    charge = world.save(charge)
    if decline:
        raise _refusal(world, charge, decline)
    world.announce("charge.succeeded", charge)
    plan_consequence(world, charge)
    return charge


def _method(world: World, new: NewCharge) -> str:
    if new.source is None:
        found = method_for(world, new.customer, None) if new.customer else None
        if found is None:
            raise invalid("Cannot charge a customer that has no active card", code="missing")
        return found
    if new.customer and not new.source.startswith("tok_"):
        held = find_source(world, new.customer["id"], new.source)
        if held["object"] == BANK_ACCOUNT:
            refuse_charging(held)
        return str(held["id"])
    source = world.store.peek(SOURCE, new.source)
    if source and source["type"] == "ach_debit":
        refuse_charging({"status": "verified" if source["status"] == "chargeable" else "new"})
    if source:
        return new.source
    return str(use_token(world, new.source, "source")["id"])


def _refusal(world: World, charge: ReadOnly, decline: Decline) -> Exception:
    world.announce("charge.failed", charge)
    error = card_error(decline.message, code=decline.code, decline_code=decline.decline_code)
    error.body["error"]["charge"] = charge["id"]
    return error


def capture_charge(world: World, charge: Document, amount: int | None) -> Document:
    """Capture a charge that was only authorized, all of it or less; the rest is released."""
    if charge["captured"]:
        message = f"Charge {charge['id']} has already been captured."
        raise invalid(message, code="charge_already_captured")
    amount = charge["amount"] if amount is None else amount
    if not 0 < amount <= charge["amount"]:
        message = "The amount to capture is greater than the amount of the charge."
        raise invalid(message, param="amount", code="amount_too_large")
    released = charge["amount"] - amount
    charge |= {"amount_captured": amount, "amount_refunded": released, "captured": True}
    charge["balance_transaction"] = take_money(world, charge)
    return world.change(charge, event="charge.captured")
