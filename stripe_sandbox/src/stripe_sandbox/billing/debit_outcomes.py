"""How a bank debit ends: for its intent, its invoice, its subscription and its Checkout session."""

from stripe_sandbox.billing.charges import settle_charge
from stripe_sandbox.billing.collection import note_outcome
from stripe_sandbox.billing.debits import SETTLES, failure_of
from stripe_sandbox.billing.dunning import settle
from stripe_sandbox.billing.later import drop_task
from stripe_sandbox.billing.order_invoices import bill_settled
from stripe_sandbox.billing.partial_payments import credit
from stripe_sandbox.billing.payment_intents import note_decline, note_success
from stripe_sandbox.billing.payments import note_paid, payment_with
from stripe_sandbox.cards import Decline
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World


def settle_debit(world: World, charge: Document) -> None:
    """End a debit as its test account does."""
    end_debit(world, charge, failure_of(world, charge))


def end_debit(world: World, charge: Document, failure: Decline | None) -> None:
    """End a debit that is under way; raises ApiError if there is none."""
    if charge["status"] != "pending":
        raise invalid(f"Nothing is under way: the charge is `{charge['status']}`.", param="intent")
    drop_task(world, SETTLES, charge["id"])
    charge = settle_charge(world, charge, failure)
    intent = world.find("payment_intent", charge["payment_intent"])
    if failure:
        note_decline(world, intent, failure, charge)
    else:
        note_success(world, intent, charge)
    session = _session_of(world, intent["id"])
    _end_payment(world, intent, failure)
    if session:
        _tell_session(world, session, intent, failure)


def _end_payment(world: World, intent: ReadOnly, failure: Decline | None) -> None:
    """Update the invoice that the debit pays, if there is one, and its subscription."""
    payment = payment_with(world, intent["id"])
    if payment is None:
        return
    if not payment["is_default"]:
        if failure is None:
            credit(world, payment, intent)
        return
    invoice = world.find("invoice", payment["invoice"])
    if failure is None:
        note_paid(world, payment, intent["amount"])
    if invoice["status"] == "open":
        retries = world.choices.debit_retries == "schedule"
        note_outcome(world, invoice, failure, retries=retries)
        settle(world, invoice, failed=failure is not None)


def _session_of(world: World, intent_id: str) -> Document | None:
    """Return the completed session whose payment is under way with the intent."""
    payment = payment_with(world, intent_id)
    found = [*world.store.where("checkout.session", "payment_intent", intent_id)]
    if payment:
        found += world.store.where("checkout.session", "invoice", payment["invoice"])
    return dict(found[0]) if found else None


def _tell_session(
    world: World, session: Document, intent: ReadOnly, failure: Decline | None
) -> None:
    if session["payment_status"] != "unpaid":
        return
    if failure is None:
        session = bill_settled(world, session, intent)
    outcome = "failed" if failure else "succeeded"
    session["payment_status"] = "unpaid" if failure else "paid"
    world.announce(f"checkout.session.async_payment_{outcome}", world.save(session))
