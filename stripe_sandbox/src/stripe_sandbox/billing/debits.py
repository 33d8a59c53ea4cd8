"""Debits of bank accounts: under way for days, then paid or refused."""

from stripe_sandbox.bank_accounts import AT_LEAST_THREE_MINUTES, TestAccount
from stripe_sandbox.billing.charges import make_charge, settle_charge
from stripe_sandbox.billing.customers import instrument_behind
from stripe_sandbox.billing.later import drop_task, plan_task
from stripe_sandbox.cards import Decline
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

SETTLES = "settle_debit"
GIVEN_UP = Decline(
    "charge_canceled", None, "The debit was canceled before it was sent to the bank."
)


def begin_debit(world: World, intent: Document, account: TestAccount) -> None:
    """Send a debit on its way; its intent is `processing` until the bank responds."""
    charge = make_charge(world, intent, None, pending=True)
    world.announce("charge.pending", charge)
    intent |= {
        "last_payment_error": None,
        "latest_charge": charge["id"],
        "next_action": None,
        "status": "processing",
    }
    world.announce("payment_intent.processing", world.save(intent))
    delay = account.settles_after
    if delay is None:
        return
    if world.choices.bank_debits == "at-once" and delay != AT_LEAST_THREE_MINUTES:
        delay = 0
    plan_task(world, SETTLES, charge, delay, clock=world.clock_of(charge))


def failure_of(world: World, charge: ReadOnly) -> Decline | None:
    """Return how the bank refuses a debit of the account that is behind a charge, if it does."""
    account = instrument_behind(world, charge["payment_method"])
    return account.failure if isinstance(account, TestAccount) else None


def give_up_debit(world: World, intent: ReadOnly) -> None:
    """Let a debit that is under way fail, because its intent is canceled."""
    if intent["status"] != "processing":
        return
    drop_task(world, SETTLES, intent["latest_charge"])
    charge = settle_charge(world, world.find("charge", intent["latest_charge"]), GIVEN_UP)
    world.announce("charge.failed", charge)
