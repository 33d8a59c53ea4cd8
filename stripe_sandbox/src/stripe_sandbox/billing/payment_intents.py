"""Payment intents: opened, charged, authenticated, captured, canceled."""

from typing import Any

from stripe_sandbox.bank_accounts import TestAccount
from stripe_sandbox.billing.account_checks import (
    await_deposit,
    needs_verification,
)
from stripe_sandbox.billing.authentication import next_action, requires_authentication
from stripe_sandbox.billing.charges import make_charge, take_money
from stripe_sandbox.billing.consequences import plan_consequence
from stripe_sandbox.billing.debits import begin_debit, give_up_debit
from stripe_sandbox.billing.intents import new_intent, use_method
from stripe_sandbox.billing.mandates import give_mandate
from stripe_sandbox.cards import AUTHENTICATION, AUTHENTICATION_FAILED, Decline
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError, invalid
from stripe_sandbox.world import World

KIND = "payment_intent"
PAYABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
CANCELABLE = PAYABLE | {"requires_capture", "processing"}


def open_intent(world: World, values: dict[str, Any]) -> Document:
    """Store a new payment intent and announce it; `values` has at least amount and currency."""
    blank = {
        "amount_capturable": 0,
        "amount_received": 0,
        "capture_method": "automatic",
        "confirmation_method": "automatic",
    }
    intent = world.add(new_intent(world, KIND, "pi", {**blank, **values}))
    world.announce("payment_intent.created", intent)
    return intent


def charge_intent(
    world: World,
    intent: Document,
    method_id: str,
    *,
    buyer_present: bool,
    authenticated: bool = False,
    return_url: str | None = None,
) -> Decline | None:
    """Charge a payment method for an intent and save it; return the decline, if any.

    A payment that requires 3D Secure, or whose account has to be verified, waits for that in
    `requires_action`, and counts as declined until then. A bank debit is `processing` afterwards,
    and neither declined nor paid.
    """
    instrument = use_method(world, intent, method_id)
    if not authenticated and requires_authentication(world, method_id, buyer_present=buyer_present):
        error = None if buyer_present else _payment_error(AUTHENTICATION)
        return _ask_for_authentication(world, intent, error, return_url)
    if instrument.decline:
        return note_decline(world, intent, instrument.decline)
    if needs_verification(world, intent, method_id):
        await_deposit(world, intent)
        world.announce("payment_intent.requires_action", world.save(intent))
        return AUTHENTICATION
    give_mandate(world, intent, method_id)
    if isinstance(instrument, TestAccount):
        begin_debit(world, intent, instrument)
    else:
        note_success(world, intent)
    return None


def _ask_for_authentication(
    world: World, intent: Document, error: Document | None, return_url: str | None
) -> Decline:
    intent |= {
        "last_payment_error": error,
        "next_action": next_action(world, intent, return_url),
        "status": "requires_action",
    }
    world.announce("payment_intent.requires_action", world.save(intent))
    return AUTHENTICATION


def _payment_error(decline: Decline) -> Document:
    return {
        "code": decline.code,
        "decline_code": decline.decline_code,
        "message": decline.message,
        "type": "card_error",
    }


def note_decline(
    world: World,
    intent: Document,
    decline: Decline,
    charge: ReadOnly | None = None,
    *,
    charges: bool = True,
) -> Decline:
    """Note a declined charge; a failed authentication or verification (`charges`) makes none.

    `charge` is that of a debit; any other one is made here.
    """
    error = _payment_error(decline)
    if charges and decline is not AUTHENTICATION_FAILED:
        charge = charge or make_charge(world, intent, decline)
        world.announce("charge.failed", charge)
        intent["latest_charge"] = charge["id"]
        error["charge"] = charge["id"]
    intent |= {
        "last_payment_error": error,
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
    }
    world.announce("payment_intent.payment_failed", world.save(intent))
    return decline


def note_success(world: World, intent: Document, charge: ReadOnly | None = None) -> None:
    """Note a successful charge; that of a debit is there already."""
    captured = charge is not None or intent["capture_method"] != "manual"
    charge = charge or make_charge(world, intent, None, captured=captured)
    _announce_charge(world, charge)
    plan_consequence(world, charge)
    intent |= {"last_payment_error": None, "latest_charge": charge["id"], "next_action": None}
    if not captured:
        intent |= {"amount_capturable": intent["amount"], "status": "requires_capture"}
        world.announce("payment_intent.amount_capturable_updated", world.save(intent))
        return
    intent |= {"amount_received": intent["amount"], "status": "succeeded"}
    world.announce("payment_intent.succeeded", world.save(intent))


def _announce_charge(world: World, charge: ReadOnly) -> None:
    """Announce a successful charge, by `Choices` first without its balance transaction."""
    if world.choices.charge_transactions == "at-once" or not charge["balance_transaction"]:
        world.announce("charge.succeeded", charge)
        return
    before: Document = {"balance_transaction": None}
    world.announce("charge.succeeded", {**charge, **before})
    world.announce("charge.updated", charge, previous=before)


def capture_intent(world: World, intent: Document, amount: int | None) -> Document:
    """Capture an authorized payment, all of it or less."""
    if intent["status"] != "requires_capture":
        raise _unexpected(intent, "captured", {"requires_capture"})
    amount = intent["amount_capturable"] if amount is None else amount
    if not 0 < amount <= intent["amount_capturable"]:
        message = "The amount to capture is greater than the amount that can be captured."
        raise invalid(message, param="amount_to_capture", code="amount_too_large")
    charge = world.find("charge", intent["latest_charge"])
    charge |= {"amount_captured": amount, "captured": True}
    charge["balance_transaction"] = take_money(world, charge)
    world.change(charge, event="charge.captured")
    intent |= {"amount_capturable": 0, "amount_received": amount, "status": "succeeded"}
    world.announce("payment_intent.succeeded", world.save(intent))
    return intent


def cancel_intent(world: World, intent: Document, reason: str | None) -> Document:
    """Cancel an intent that has not been paid."""
    if intent["status"] not in CANCELABLE:
        raise _unexpected(intent, "canceled", CANCELABLE)
    give_up_debit(world, intent)
    intent |= {
        "amount_capturable": 0,
        "canceled_at": world.time_of(intent),
        "cancellation_reason": reason,
        "next_action": None,
        "status": "canceled",
    }
    intent = world.save(intent)
    world.announce("payment_intent.canceled", intent)
    return intent


def refuse_unpayable(intent: ReadOnly) -> None:
    """Raise ApiError unless the intent can be confirmed."""
    if intent["status"] not in PAYABLE:
        raise _unexpected(intent, "confirmed", PAYABLE)


def _unexpected(intent: ReadOnly, done: str, statuses: set[str] | frozenset[str]) -> ApiError:
    listed = ", ".join(sorted(statuses))
    message = (
        f"This PaymentIntent could not be {done} because it has a status of {intent['status']}. "
        f"Only a PaymentIntent with one of the following statuses may be {done}: {listed}."
    )
    return ApiError(400, message, code="payment_intent_unexpected_state", payment_intent={**intent})
