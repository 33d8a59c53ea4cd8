"""Dunning: the status of a subscription after a payment attempt."""

from stripe_sandbox.billing.collection import collect
from stripe_sandbox.billing.invoices import invoices_of, subscription_of
from stripe_sandbox.billing.pending_updates import apply_if_paid
from stripe_sandbox.billing.proration import credit_unused_time
from stripe_sandbox.billing.resumptions import finish_resumption, resume_unpaid
from stripe_sandbox.billing.subscriptions import (
    FINAL_STATUSES,
    cancel_subscription,
    mark,
    pause,
    set_status,
)
from stripe_sandbox.cards import Decline
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

IN_ARREARS = frozenset({"incomplete", "past_due", "unpaid"})


def attempt_payment(
    world: World, invoice: Document, *, buyer_present: bool = False, manual: bool = False
) -> Decline | None:
    """Collect an open invoice and update its subscription; return the decline, if any."""
    retried = manual and invoice["attempt_count"] > 0
    decline = collect(world, invoice, buyer_present=buyer_present, manual=manual)
    settle(world, invoice, failed=decline is not None, ends_retries=not retried)
    return decline


def settle(world: World, invoice: Document, *, failed: bool, ends_retries: bool = True) -> None:
    """Update the invoice's subscription and customer after a payment attempt.

    An invoice that is neither paid nor failed has a bank debit under way. A failure
    ends the retries if none is left, unless it was a manual attempt after the first one.
    """
    billed = subscription_of(world, invoice)
    if billed is None or billed["status"] in FINAL_STATUSES:
        return
    _set_delinquent(world, billed)
    subscription = world.find("subscription", billed["id"])
    if failed:
        _mark_past_due(world, subscription, invoice, ends_retries=ends_retries)
        return
    if invoice["status"] == "open":
        _let_in(world, subscription)
        return
    finish_resumption(world, invoice, subscription["id"])
    subscription = apply_if_paid(world, world.find("subscription", subscription["id"]), invoice)
    if subscription["status"] in IN_ARREARS and _is_latest(subscription, invoice):
        set_status(subscription, "trialing" if _in_trial(world, subscription) else "active")
        world.change(subscription)


def _let_in(world: World, subscription: Document) -> None:
    """Begin a new subscription while the bank debit that pays for it is under way."""
    active = world.choices.debit_first_payment == "active"
    if subscription["status"] == "incomplete" and active:
        set_status(subscription, "active")
        world.change(subscription)


def _is_latest(subscription: Document, invoice: Document) -> bool:
    return bool(subscription["latest_invoice"] == invoice["id"])


def _in_trial(world: World, subscription: Document) -> bool:
    end = subscription["trial_end"]
    return end is not None and end > world.time_of(subscription)


def _set_delinquent(world: World, subscription: ReadOnly) -> None:
    customer = world.store.peek("customer", subscription["customer"])
    open_ones = invoices_of(world, subscription["id"], "open")
    is_late = any(invoice["attempt_count"] for invoice in open_ones)
    if customer and customer["delinquent"] != is_late:
        world.change({**customer, "delinquent": is_late})


def _mark_past_due(
    world: World, subscription: Document, invoice: Document, *, ends_retries: bool
) -> None:
    if subscription["status"] == "paused":
        resume_unpaid(world, invoice, subscription["id"])
        return
    if subscription["status"] == "incomplete":
        return
    if _pauses_at_once(world, subscription, invoice):
        _pause(world, subscription, invoice, "first_payment_failure")
    elif invoice["next_payment_attempt"] is None and invoice["auto_advance"]:
        if ends_retries:
            _end_retries(world, subscription, invoice)
    elif subscription["status"] != "unpaid":
        set_status(subscription, "past_due")
        world.change(subscription)


def _end_retries(world: World, subscription: Document, invoice: ReadOnly) -> None:
    if world.dunning.final == "cancel":
        cancel_subscription(world, subscription, reason="payment_failed")
    elif world.dunning.final == "pause":
        if _can_pause(subscription):
            _pause(world, subscription, invoice, "final_payment_failure")
        else:
            cancel_subscription(world, subscription, reason="payment_failed")
    else:
        set_status(subscription, world.dunning.final)
        world.change(subscription)


def _pauses_at_once(world: World, subscription: ReadOnly, invoice: ReadOnly) -> bool:
    """Return whether the account pauses after the first failure of a renewal, and this is one."""
    renews = invoice["billing_reason"] == "subscription_cycle" and invoice["attempt_count"] == 1
    return world.dunning.first == "pause" and renews and _can_pause(subscription)


def _can_pause(subscription: ReadOnly) -> bool:
    classic = subscription["billing_mode"]["type"] == "classic"
    sent = subscription["collection_method"] == "send_invoice"
    return not classic and not sent and subscription["schedule"] is None


def _pause(world: World, subscription: Document, invoice: ReadOnly, cause: str) -> None:
    """Pause a subscription that is not paid; its invoice stays payable."""
    mark(world, subscription["id"], paused_for=invoice["id"])
    now = world.time_of(subscription)
    if cause == "final_payment_failure" and world.choices.failed_pause == "credit":
        credit_unused_time(world, subscription)
    for item in subscription["items"]["data"]:
        item["current_period_end"] = min(item["current_period_end"], now)
    pause(world, subscription, now, cause=cause)
