"""Setup intents: a payment method is set up for later payments."""

from typing import Any

from stripe_sandbox.billing.account_checks import (
    await_deposit,
    needs_verification,
)
from stripe_sandbox.billing.authentication import next_action, note_set_up
from stripe_sandbox.billing.customers import attach_payment_method, instrument_behind, method_for
from stripe_sandbox.billing.intents import new_intent, use_method
from stripe_sandbox.billing.mandates import give_mandate, mandate_of
from stripe_sandbox.billing.method_shapes import type_of
from stripe_sandbox.cards import AUTHENTICATION_FAILED, Decline
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError, invalid
from stripe_sandbox.world import World

KIND = "setup_intent"
OPEN = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
ASKED_ONCE = frozenset({"always", "unless_set_up"})
"""Cards whose set-up is authenticated; the others are set up already, or need no 3D Secure."""


def open_setup(world: World, values: dict[str, Any]) -> Document:
    """Store a new setup intent and announce it."""
    blank = {"usage": "off_session"}
    intent = world.add(new_intent(world, KIND, "seti", {**blank, **values}))
    world.announce("setup_intent.created", intent)
    return intent


def confirm_setup(
    world: World,
    intent: Document,
    method_id: str,
    *,
    authenticated: bool = False,
    return_url: str | None = None,
) -> Decline | None:
    """Set up a payment method; return the decline, if any.

    If the card requires 3D Secure, or a bank account has to be verified, the intent waits for that
    in `requires_action`.
    """
    instrument = use_method(world, intent, method_id)
    if instrument.decline and not instrument.attaches:
        return note_failure(world, intent, instrument.decline)
    if instrument.authentication in ASKED_ONCE and not authenticated:
        _attempt(world, intent, "requires_action", None)
        action = next_action(world, intent, return_url)
        intent |= {"next_action": action, "status": "requires_action"}
        world.announce("setup_intent.requires_action", world.save(intent))
        return None
    if needs_verification(world, intent, method_id):
        _attempt(world, intent, "requires_action", None)
        await_deposit(world, intent)
        world.announce("setup_intent.requires_action", world.save(intent))
        return None
    _succeed(world, intent)
    return None


def finish_setup(world: World, intent: Document, *, succeeds: bool) -> Decline | None:
    """Go on with a set-up that waits for 3D Secure; return the decline, if any."""
    if intent["status"] != "requires_action":
        raise invalid(f"The setup intent waits for nothing: it is `{intent['status']}`.")
    if not succeeds:
        return note_failure(world, intent, AUTHENTICATION_FAILED)
    return confirm_setup(world, intent, str(intent["payment_method"]), authenticated=True)


def _succeed(world: World, intent: Document) -> None:
    method_id = str(intent["payment_method"])
    note_set_up(world, method_id)
    give_mandate(world, intent, method_id)
    intent["mandate"] = mandate_of(world, method_id)
    if intent["customer"] and world.find("payment_method", method_id)["customer"] is None:
        customer = world.find("customer", intent["customer"])
        attach_payment_method(world, method_id, customer, "payment_method")
    _attempt(world, intent, "succeeded", None)
    intent |= {"last_setup_error": None, "next_action": None, "status": "succeeded"}
    world.announce("setup_intent.succeeded", world.save(intent))
    _complete_subscription(world, intent)


def note_failure(world: World, intent: Document, decline: Decline) -> Decline:
    """Note that a set-up has failed; return why."""
    error = {
        "code": "setup_intent_authentication_failure"
        if decline is AUTHENTICATION_FAILED
        else decline.code,
        "decline_code": decline.decline_code,
        "message": decline.message,
        "type": "card_error",
    }
    _attempt(world, intent, "failed", error)
    intent |= {
        "last_setup_error": error,
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
    }
    world.announce("setup_intent.setup_failed", world.save(intent))
    return decline


def _attempt(world: World, intent: Document, status: str, error: ReadOnly | None) -> None:
    """Store the attempt that a confirmation makes."""
    kind = type_of(instrument_behind(world, str(intent["payment_method"])))
    attempt = world.add(
        {
            "id": world.ids.next("setatt"),
            "object": "setup_attempt",
            "created": world.time_of(intent),
            "customer": intent["customer"],
            "livemode": False,
            "payment_method": intent["payment_method"],
            "payment_method_details": {kind: {}, "type": kind},
            "setup_error": error,
            "setup_intent": intent["id"],
            "status": status,
            "usage": intent["usage"],
        }
    )
    intent["latest_attempt"] = attempt["id"]


def cancel_setup(world: World, intent: Document, reason: str | None) -> Document:
    """Cancel a setup intent that has not succeeded."""
    refuse_final(intent, "canceled")
    intent |= {"cancellation_reason": reason, "next_action": None, "status": "canceled"}
    intent = world.save(intent)
    world.announce("setup_intent.canceled", intent)
    return intent


def refuse_final(intent: ReadOnly, done: str) -> None:
    """Raise ApiError unless the intent can still be confirmed or canceled."""
    if intent["status"] not in OPEN:
        message = (
            f"You cannot {done.removesuffix('ed')} this SetupIntent because it has a status of "
            f"{intent['status']}. Only a SetupIntent with one of the following statuses may be "
            f"{done}: {', '.join(sorted(OPEN))}."
        )
        code = "setup_intent_unexpected_state"
        raise ApiError(400, message, code=code, setup_intent={**intent})


def open_pending_setup(world: World, customer: ReadOnly, subscription: Document) -> None:
    """Open the setup intent of a subscription whose first invoice took no payment method.

    The caller saves the subscription.
    """
    if method_for(world, customer, subscription) is None:
        intent = open_setup(world, {"customer": customer["id"]})
        subscription["pending_setup_intent"] = intent["id"]


def _complete_subscription(world: World, intent: ReadOnly) -> None:
    """Give the subscription that waited for the set-up its payment method."""
    for subscription in world.store.where("subscription", "customer", str(intent["customer"])):
        if subscription["pending_setup_intent"] == intent["id"]:
            method = {"default_payment_method": intent["payment_method"]}
            world.change({**subscription, **method, "pending_setup_intent": None})
            return
