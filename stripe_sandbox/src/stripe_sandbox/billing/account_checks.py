"""Which bank accounts have to be verified by micro-deposits before they can be used."""

from stripe_sandbox.bank_accounts import TestAccount
from stripe_sandbox.billing.customers import CARD, instrument_behind
from stripe_sandbox.billing.later import plan_task
from stripe_sandbox.billing.periods import DAY
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

LAPSES = "lapse_verification"
DAYS_TO_VERIFY = 10
DAYS_UNTIL_DEPOSIT = 2
BLANK_OPTIONS: ReadOnly = {"card": {"request_three_d_secure": "automatic"}}
"""An intent's options of payment methods, unless it names others."""

ACTION = "verify_with_microdeposits"


def needs_verification(world: World, intent: ReadOnly, method_id: str) -> bool:
    """Return whether an intent has to wait until the account's holder has seen a deposit.

    That is so if the intent asks for it; by `Choices` also for accounts that were typed in.
    """
    account = instrument_behind(world, method_id)
    if not isinstance(account, TestAccount) or account.type != "us_bank_account":
        return False
    noted = world.store.peek(CARD, method_id) or {}
    options = (intent["payment_method_options"] or {}).get("us_bank_account") or {}
    asked = options.get("verification_method") == "microdeposits"
    return not noted.get("verified") and bool(asked or noted.get("typed_in"))


def note_typed_in(world: World, method_id: str) -> None:
    """Note that the numbers of an account were typed in, if such accounts have to be verified."""
    if world.choices.bank_accounts == "microdeposits":
        world.store.put(CARD, {**(world.store.peek(CARD, method_id) or {}), "typed_in": True})


def note_verified(world: World, method_id: str) -> None:
    """Note that the account's holder has seen the deposit."""
    world.store.put(CARD, {**(world.store.peek(CARD, method_id) or {}), "verified": True})


def await_deposit(world: World, intent: Document) -> None:
    """Let an intent wait for a deposit to be confirmed; the caller saves it."""
    now = world.time_of(intent)
    details = {
        "arrival_date": now + DAYS_UNTIL_DEPOSIT * DAY,
        "hosted_verification_url": f"{world.base_url}/microdeposits/{intent['id']}",
        "microdeposit_type": "descriptor_code",
    }
    intent |= {"next_action": {"type": ACTION, ACTION: details}, "status": "requires_action"}
    plan_task(world, LAPSES, intent, DAYS_TO_VERIFY * DAY, clock=world.clock_of(intent))


def waits_for_deposit(intent: ReadOnly) -> bool:
    """Return whether an intent waits for a deposit to be confirmed."""
    return bool((intent["next_action"] or {}).get("type") == ACTION)
