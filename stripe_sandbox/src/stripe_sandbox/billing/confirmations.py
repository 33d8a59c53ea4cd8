"""Confirming payment intents and what follows, also for the invoice that one pays."""

from stripe_sandbox.bank_accounts import find_test_method
from stripe_sandbox.billing.authentication import note_set_up, requires_authentication
from stripe_sandbox.billing.collection import note_attempt, save_default
from stripe_sandbox.billing.customers import (
    CARD,
    attach_payment_method,
    check_owner,
    create_payment_method,
)
from stripe_sandbox.billing.dunning import settle
from stripe_sandbox.billing.partial_payments import credit
from stripe_sandbox.billing.payment_intents import charge_intent, note_decline
from stripe_sandbox.billing.payments import note_paid, payment_with
from stripe_sandbox.cards import AUTHENTICATION, AUTHENTICATION_FAILED, Decline
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError, card_error, invalid
from stripe_sandbox.world import World


def usable_method(world: World, reference: str, customer_id: str | None) -> str:
    """Return the id of a payment method that an intent may use; a test token becomes a new one."""
    token = find_test_method(reference)
    if token:
        return str(create_payment_method(world, token)["id"])
    method = world.find("payment_method", reference, "payment_method")
    if (world.store.peek(CARD, reference) or {}).get("detached"):
        raise invalid(
            "This PaymentMethod was previously used without being attached to a Customer or was "
            "detached from a Customer, and may not be used again."
        )
    if method["customer"] is None or method["customer"] == customer_id:
        return reference
    if customer_id is None:
        raise invalid(
            "The payment method you provided is attached to a customer so for security purposes "
            "you must provide the customer in the request."
        )
    return check_owner(world, reference, customer_id, "payment_method")


def check_type(world: World, intent: ReadOnly, method_id: str) -> None:
    """Raise ApiError if the intent lists its types of payment methods, and not this one."""
    kind = world.find("payment_method", method_id)["type"]
    allowed = intent["allowed_payment_method_types"]
    if allowed and kind not in allowed:
        noun = "PaymentIntent" if intent["object"] == "payment_intent" else "SetupIntent"
        message = (
            f"The PaymentMethod provided ({kind}) is not allowed for this {noun}. Please attach a "
            "payment method of one of the following types: "
            f"{', '.join(allowed)}."
        )
        raise invalid(message, param="payment_method")


def confirm(
    world: World, intent: Document, method_id: str, *, off_session: bool, return_url: str | None
) -> Decline | None:
    """Pay an intent; return the decline, if any, which may be a request to authenticate."""
    waits = requires_authentication(world, method_id, buyer_present=not off_session)
    if off_session and waits and payment_with(world, intent["id"]) is None:
        intent["payment_method"] = method_id
        return note_decline(world, intent, AUTHENTICATION)
    decline = charge_intent(
        world, intent, method_id, buyer_present=not off_session, return_url=return_url
    )
    if decline is not AUTHENTICATION or off_session:
        _follow(world, intent, method_id, decline)
    return decline


def finish_authentication(world: World, intent: Document, *, succeeds: bool) -> Decline | None:
    """Go on with a payment that waits for 3D Secure; return the decline, if any."""
    if intent["status"] != "requires_action":
        raise invalid(f"The payment intent waits for nothing: it is `{intent['status']}`.")
    method_id = str(intent["payment_method"])
    if not succeeds:
        decline: Decline | None = note_decline(world, intent, AUTHENTICATION_FAILED)
    else:
        decline = charge_intent(world, intent, method_id, buyer_present=True, authenticated=True)
    if succeeds and intent["setup_future_usage"] == "off_session":
        note_set_up(world, method_id)
    if succeeds or world.choices.failed_authentication == "invoice":
        _follow(world, intent, method_id, decline)
    return decline


def finish_action(world: World, intent: Document, method_id: str) -> None:
    """Go on with a payment from a bank account that has been verified."""
    decline = charge_intent(world, intent, method_id, buyer_present=True)
    _follow(world, intent, method_id, decline)


def _follow(world: World, intent: ReadOnly, method_id: str, decline: Decline | None) -> None:
    """Keep the payment method if that is wanted, and update the invoice that was paid."""
    if decline is None:
        _keep(world, intent, method_id)
    payment = payment_with(world, intent["id"])
    if payment is None:
        return
    if not payment["is_default"]:
        if intent["status"] == "succeeded":
            credit(world, payment, intent)
        return
    invoice = world.find("invoice", payment["invoice"])
    if decline is None and intent["status"] == "succeeded":
        note_paid(world, payment, intent["amount"])
    if decline is None:
        save_default(world, invoice, method_id)
    retried = invoice["attempt_count"] > 0
    note_attempt(world, invoice, decline, manual=True)
    settle(world, invoice, failed=decline is not None, ends_retries=not retried)


def _keep(world: World, intent: ReadOnly, method_id: str) -> None:
    """Attach a new payment method for later payments, or let it never be used again."""
    method = world.find("payment_method", method_id)
    if method["customer"] is not None:
        return
    if intent["customer"] and intent["setup_future_usage"]:
        customer = world.find("customer", intent["customer"])
        attach_payment_method(world, method_id, customer, "payment_method")
    else:
        world.store.put(CARD, {**(world.store.peek(CARD, method_id) or {}), "detached": True})


def confirmation_error(world: World, decline: Decline, intent: ReadOnly) -> ApiError:
    """Return the 402 for a declined confirmation; it carries the intent, which stays."""
    kept = world.find(intent["object"], intent["id"])
    error = card_error(decline.message, code=decline.code, decline_code=decline.decline_code)
    error.body["error"][kept["object"]] = kept
    if kept.get("latest_charge"):
        error.body["error"]["charge"] = kept["latest_charge"]
    return error
