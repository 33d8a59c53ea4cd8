"""Resuming a paused subscription: with the attempt to collect its invoice, or once that is paid."""

from dataclasses import dataclass

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
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

LIFETIME = 23 * HOUR
RESUMED = ("billing_cycle_anchor", "items")
"""Fields of the subscription that resuming changes."""


@dataclass(frozen=True)
class ResumeTerms:
    """How a subscription resumes: Stripe's `proration_behavior` and `proration_date` (`at`).

    `keeps_anchor` is whether it goes on in the period that surrounds now, or in a new one.
    """

    keeps_anchor: bool
    proration: str
    at: int

    @property
    def bills(self) -> bool:
        """Whether resuming is invoiced at once."""
        return not self.keeps_anchor or self.proration == "always_invoice"


def resume_as_told(
    world: World, subscription: Document, terms: ResumeTerms, *, waits: bool
) -> None:
    """Resume with a payment (`waits`: `resume_on_payment_success`), or with an attempt to pay.

    By `Choices` the latter also waits, for an attempt that somebody makes later.
    """
    if waits or world.choices.plain_resume == "waits":
        resume_when_paid(world, subscription, terms, unpaid=not waits)
    else:
        resume_now(world, subscription, terms)


def resume_now(world: World, subscription: Document, terms: ResumeTerms) -> None:
    """Resume a subscription, and collect its invoice if there is one.

    A failure makes it past due.
    """
    set_status(subscription, "active")
    _enter_period(world, subscription, terms)
    subscription = world.change(subscription)
    if terms.bills:
        invoice_now(world, subscription, new_period=not terms.keeps_anchor, strict=False)
    announce_resumed(world, subscription["id"])


def _enter_period(world: World, subscription: Document, terms: ResumeTerms) -> None:
    """Move the subscription to the period that it resumes in."""
    if terms.keeps_anchor:
        enter_current_period(world, subscription, proration=terms.proration, at=terms.at)
    else:
        restart_period(subscription, world.time_of(subscription))


def resume_when_paid(
    world: World, subscription: Document, terms: ResumeTerms, *, unpaid: bool = False
) -> None:
    """Open the invoice of a resumption; the subscription stays paused until that is paid.

    With `unpaid` it waits for an attempt only, which is not made here.
    """
    before = world.find("subscription", subscription["id"])
    _enter_period(world, subscription, terms)
    if not terms.bills:
        set_status(subscription, "active")
        world.change(subscription)
        announce_resumed(world, subscription["id"])
        return
    invoice = _draft(world, subscription, terms)
    _keep(world, subscription, invoice["id"], unpaid=unpaid)
    world.change({**before, "latest_invoice": invoice["id"]})
    invoice = finalize_invoice(world, invoice)
    if invoice["status"] != "open":
        finish_resumption(world, invoice, before["id"])
        return
    plan_task(world, RESUMPTION_EXPIRES, invoice, LIFETIME, clock=world.clock_of(invoice))
    if not unpaid:
        _attempt(world, before, invoice)


def _draft(world: World, subscription: Document, terms: ResumeTerms) -> Document:
    """Draft the invoice of a resumption: of the new period, or of what is pending."""
    items = [] if terms.keeps_anchor else subscription["items"]["data"]
    lines = term_lines(world, subscription, items)
    return bill_subscription(world, subscription, lines, reason="subscription_update")


def _keep(world: World, resumed: ReadOnly, invoice_id: str, *, unpaid: bool) -> None:
    """Keep what the subscription becomes once its invoice is paid."""
    kept = {name: resumed[name] for name in RESUMED}
    mark(
        world,
        resumed["id"],
        resumption=kept,
        resumption_invoice=invoice_id,
        resumes_unpaid=unpaid,
    )


def _attempt(world: World, subscription: ReadOnly, invoice: Document) -> None:
    """Attempt the payment of a resumption, if there is a payment method, and by `Choices`."""
    customer = world.find("customer", subscription["customer"])
    attempts = world.choices.resumption_attempt == "at-once"
    if attempts and method_for(world, customer, subscription):
        attempt_payment(world, invoice)


def expire_resumption(world: World, invoice: Document) -> None:
    """Void the invoice of a resumption that was not paid in time; it goes on being paused."""
    if invoice["status"] == "open":
        void_invoice(world, invoice)
