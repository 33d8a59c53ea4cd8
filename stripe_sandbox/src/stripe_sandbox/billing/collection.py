"""Attempts to pay an invoice: whom they charge, how they end, and when the next one is."""

from stripe_sandbox.billing import payments
from stripe_sandbox.billing.customers import method_for
from stripe_sandbox.billing.invoices import mark_paid, subscription_of
from stripe_sandbox.billing.periods import DAY
from stripe_sandbox.cards import AUTHENTICATION, Decline
from stripe_sandbox.documents import Document, ReadOnly, id_of
from stripe_sandbox.world import World

NO_CARD = Decline(
    "missing",
    None,
    "Cannot charge a customer that has no active card or default payment method.",
)


def collect(
    world: World, invoice: Document, *, buyer_present: bool = False, manual: bool = False
) -> Decline | None:
    """Charge the invoice's payment method; return the decline, if any.

    The caller updates the subscription.
    """
    customer = world.view("customer", invoice["customer"])
    subscription = subscription_of(world, invoice)
    method_id = id_of(invoice["default_payment_method"]) or method_for(
        world, customer, subscription
    )
    if method_id and not payments.allows(world, invoice, method_id):
        method_id = None
    return charge_invoice(world, invoice, method_id, buyer_present=buyer_present, manual=manual)


def charge_invoice(
    world: World,
    invoice: Document,
    method_id: str | None,
    *,
    buyer_present: bool,
    manual: bool = False,
) -> Decline | None:
    """Charge a payment method for an open invoice; return the decline, if any."""
    if method_id is None:
        decline: Decline | None = NO_CARD
    else:
        decline = payments.charge_card(world, invoice, method_id, buyer_present=buyer_present)
        if decline is None:
            save_default(world, invoice, method_id)
    note_attempt(world, invoice, decline, manual=manual)
    return decline


def save_default(world: World, invoice: ReadOnly, method_id: str) -> None:
    """Make the payment method of a payment the subscription's, if its settings say so."""
    subscription = subscription_of(world, invoice)
    if subscription is None:
        return
    if subscription["payment_settings"]["save_default_payment_method"] == "on_subscription":
        world.change({**subscription, "default_payment_method": method_id})


def note_attempt(world: World, invoice: Document, decline: Decline | None, *, manual: bool) -> None:
    """Note an attempt to pay an open invoice, and its outcome.

    Any attempt counts as the first one; after it, manual attempts neither count nor move the retry
    schedule (`attempt_count` in Stripe's reference of invoices).
    """
    counts = not (manual and invoice["attempt_count"])
    invoice["attempted"] = True
    if counts:
        invoice["attempt_count"] += 1
    if decline is None and payments.is_under_way(world, invoice):
        invoice["next_payment_attempt"] = None
        world.change(invoice)
    else:
        note_outcome(world, invoice, decline, counts=counts)


def note_outcome(
    world: World,
    invoice: Document,
    decline: Decline | None,
    *,
    counts: bool = True,
    retries: bool = True,
) -> None:
    """Note how an attempt to pay has ended, for a bank debit days later."""
    if decline is None:
        mark_paid(world, invoice)
        return
    if counts:
        invoice["next_payment_attempt"] = _next_attempt(world, invoice) if retries else None
    _announce_failure(world, invoice, decline)


def _announce_failure(world: World, invoice: Document, decline: Decline) -> None:
    saved = world.save(invoice)
    if decline is AUTHENTICATION:
        world.announce("invoice.payment_action_required", saved)
    world.announce("invoice.payment_failed", saved)


def _next_attempt(world: World, invoice: ReadOnly) -> int | None:
    """Return when to retry the invoice; the first one of a subscription is never retried."""
    days, attempts = world.dunning.retry_days, invoice["attempt_count"]
    subscription = subscription_of(world, invoice)
    first = subscription is None or subscription["status"] == "incomplete"
    if invoice["collection_method"] == "send_invoice":
        return None
    if first or not invoice["auto_advance"] or attempts > len(days):
        return None
    return world.time_of(invoice) + int(days[attempts - 1]) * DAY
