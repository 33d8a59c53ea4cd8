"""Resuming a paused subscription: with the attempt to collect its invoice, or once that is paid."""

from stripe_sandbox.billing.changes import enter_current_period, invoice_now
from stripe_sandbox.billing.customers import method_for
from stripe_sandbox.billing.dunning import attempt_payment
from stripe_sandbox.billing.invoices import finalize_invoice, void_invoice
from stripe_sandbox.billing.later import plan_task
from stripe_sandbox.billing.periods import HOUR, restart_period
from stripe_sandbox.billing.resumptions import (
    RESUMPTION_EXPIRES,
    announce_resumed,
    finish_resumption,
)
from stripe_sandbox.billing.subscription_bills import (
    bill_subscription,
    term_lines,
)
from stripe_sandbox.billing.subscriptions import (
    mark,
    set_status,
)
from stripe_sandbox.documents import Document
from stripe_sandbox.world import World

LIFETIME = 23 * HOUR
RESUMED = ("billing_cycle_anchor", "items")
"""Fields of the subscription that resuming changes."""


def resume_as_told(
    world: World,
    subscription: Document,
    *,
    waits: bool,
    keeps_anchor: bool,
    proration: str,
    at: int,
) -> None:
    """Resume with a payment (`waits`: `resume_on_payment_success`), or with an attempt to pay.

    By `Choices` the latter also waits, for an attempt that somebody makes later.
    """
    if waits or world.choices.plain_resume == "waits":
        resume_when_paid(
            world,
            subscription,
            keeps_anchor=keeps_anchor,
            proration=proration,
            at=at,
            unpaid=not waits,
        )
        return
    resume_now(world, subscription, keeps_anchor=keeps_anchor, proration=proration, at=at)


def resume_now(
    world: World, subscription: Document, *, keeps_anchor: bool, proration: str, at: int
) -> None:
    """Resume a subscription, and collect its invoice if there is one; a failure makes it past due.

    `proration` and `at` are Stripe's `proration_behavior` and `proration_date`.
    """
    set_status(subscription, "active")
    bills = _enter_period(
        world, subscription, keeps_anchor=keeps_anchor, proration=proration, at=at
    )
    subscription = world.change(subscription)
    if bills:
        invoice_now(world, subscription, new_period=not keeps_anchor, strict=False)
    announce_resumed(world, subscription["id"])


def _enter_period(
    world: World, subscription: Document, *, keeps_anchor: bool, proration: str, at: int
) -> bool:
    """Move the subscription to the period that it resumes in; return whether that is invoiced."""
    if keeps_anchor:
        enter_current_period(world, subscription, proration=proration, at=at)
    else:
        restart_period(subscription, world.time_of(subscription))
    return not keeps_anchor or proration == "always_invoice"


def resume_when_paid(
    world: World,
    subscription: Document,
    *,
    keeps_anchor: bool,
    proration: str,
    at: int,
    unpaid: bool = False,
) -> None:
    """Open the invoice of a resumption; the subscription stays paused until that is paid.

    With `unpaid` it waits for an attempt only, which is not made here.
    """
    before = world.find("subscription", subscription["id"])
    if not _enter_period(
        world, subscription, keeps_anchor=keeps_anchor, proration=proration, at=at
    ):
        set_status(subscription, "active")
        world.change(subscription)
        announce_resumed(world, subscription["id"])
        return
    items = [] if keeps_anchor else subscription["items"]["data"]
    lines = term_lines(world, subscription, items)
    invoice = bill_subscription(world, subscription, lines, reason="subscription_update")
    kept = {name: subscription[name] for name in RESUMED}
    mark(
        world,
        before["id"],
        resumption=kept,
        resumption_invoice=invoice["id"],
        resumes_unpaid=unpaid,
    )
    world.change({**before, "latest_invoice": invoice["id"]})
    invoice = finalize_invoice(world, invoice)
    if invoice["status"] != "open":
        finish_resumption(world, invoice, before["id"])
        return
    plan_task(world, RESUMPTION_EXPIRES, invoice, LIFETIME, clock=world.clock_of(invoice))
    customer = world.find("customer", before["customer"])
    attempts = not unpaid and world.choices.resumption_attempt == "at-once"
    if attempts and method_for(world, customer, before):
        attempt_payment(world, invoice)


def expire_resumption(world: World, invoice: Document) -> None:
    """Void the invoice of a resumption that was not paid in time; it goes on being paused."""
    if invoice["status"] == "open":
        void_invoice(world, invoice)
