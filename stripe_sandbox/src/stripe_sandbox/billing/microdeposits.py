"""Verification of bank accounts: what their holders say about the deposits that they got."""

from collections.abc import Sequence

from stripe_sandbox.billing.account_checks import LAPSES, note_verified, waits_for_deposit
from stripe_sandbox.billing.confirmations import finish_action
from stripe_sandbox.billing.later import drop_task
from stripe_sandbox.billing.payment_intents import note_decline
from stripe_sandbox.billing.setup_intents import KIND as SETUP
from stripe_sandbox.billing.setup_intents import confirm_setup, note_failure
from stripe_sandbox.cards import Decline
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError, invalid
from stripe_sandbox.world import World

GUESSES = "_deposit_guesses"
"""Kind of the number of wrong answers about an intent's deposits."""

MOST_GUESSES = 10
DEPOSITS = 2
PREFIX = "payment_method_microdeposit_verification_"


def _failure(code: str, sentence: str) -> Decline:
    return Decline(f"{PREFIX}{code}", None, sentence)


EXCEEDED = _failure(
    "attempts_exceeded", "You have exceeded the number of allowed verification attempts."
)
TIMEOUT = _failure(
    "timeout", "The microdeposits were not verified within the allowed number of days."
)
RIGHT = ((32, 45), "SM11AA")
ENDS = {(10, 11): EXCEEDED, "SM33CC": EXCEEDED, (40, 41): TIMEOUT, "SM44DD": TIMEOUT}
"""Stripe's test values: docs.stripe.com/payments/ach-direct-debit/accept-a-payment."""


def verify(
    world: World, intent: Document, amounts: Sequence[int] | None, code: str | None
) -> Document:
    """Go on with an intent whose deposits are named rightly; return it.

    Raises ApiError for a wrong answer; the last one allowed, and some test values, end the attempt.
    """
    _refuse_others(intent)
    answer = _read(amounts, code)
    if answer in RIGHT:
        return _go_on(world, intent)
    ending = ENDS.get(answer)
    if ending is None and count_guess(world, intent["id"]) >= MOST_GUESSES:
        ending = EXCEEDED
    if ending:
        raise _end(world, intent, ending)
    raise _mismatch(code)


def _refuse_others(intent: ReadOnly) -> None:
    if not waits_for_deposit(intent):
        noun = "SetupIntent" if intent["object"] == SETUP else "PaymentIntent"
        raise invalid(
            f"This {noun} is not awaiting microdeposit verification.",
            code=f"{intent['object']}_unexpected_state",
        )


def _read(amounts: Sequence[int] | None, code: str | None) -> tuple[int, int] | str:
    if code:
        return code.strip().upper()
    if not amounts or len(amounts) != DEPOSITS or min(amounts) <= 0:
        message = "You must provide either `amounts`, two positive integers, or `descriptor_code`."
        raise invalid(message, param="amounts", code=f"{PREFIX}amounts_invalid")
    return min(amounts), max(amounts)


def count_guess(world: World, intent_id: str) -> int:
    """Count a wrong answer about an intent or an account; return how many there were."""
    count = (world.store.peek(GUESSES, intent_id) or {"count": 0})["count"] + 1
    world.store.put(GUESSES, {"id": intent_id, "count": count})
    return int(count)


def _mismatch(code: str | None) -> ApiError:
    name, kind = ("descriptor_code", "descriptor code") if code else ("amounts", "amounts")
    error = invalid(
        f"The {kind} provided does not match what was sent to the bank account.",
        param=name,
        code=f"{PREFIX}{name}_mismatch",
    )
    error.keeps_changes = True
    return error


def _go_on(world: World, intent: Document) -> Document:
    drop_task(world, LAPSES, intent["id"])
    method_id = str(intent["payment_method"])
    note_verified(world, method_id)
    if intent["object"] == SETUP:
        confirm_setup(world, intent, method_id)
    else:
        finish_action(world, intent, method_id)
    return world.find(intent["object"], intent["id"])


def _end(world: World, intent: Document, failure: Decline) -> ApiError:
    _fail(world, intent, failure)
    error = invalid(failure.message, code=failure.code)
    error.keeps_changes = True
    return error


def _fail(world: World, intent: Document, failure: Decline) -> None:
    drop_task(world, LAPSES, intent["id"])
    if intent["object"] == SETUP:
        note_failure(world, intent, failure)
    else:
        note_decline(world, intent, failure, charges=False)


def lapse_verification(world: World, intent: Document) -> None:
    """End a verification that nobody has finished in time."""
    if waits_for_deposit(intent):
        _fail(world, intent, TIMEOUT)
