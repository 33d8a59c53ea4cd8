"""Updates that wait for their payment: `payment_behavior=pending_if_incomplete`."""

from stripe_sandbox.billing.collection import collect
from stripe_sandbox.billing.invoices import finalize_invoice, void_invoice
from stripe_sandbox.billing.periods import HOUR, earliest_end
from stripe_sandbox.billing.subscription_bills import (
    bill_subscription,
    term_lines,
)
from stripe_sandbox.billing.subscriptions import (
    mark,
    marks_of,
)
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World

LIFETIME = 23 * HOUR
APPLIED = ("billing_cycle_anchor", "items", "metadata", "status", "trial_end")
"""Fields of the subscription that an update changes when it is paid."""


def update_if_paid(world: World, changed: Document, *, new_period: bool) -> None:
    """Bill a changed subscription, and keep the change back until that is paid.

    `changed` is not stored yet. What an unpaid change has is in `pending_update`.
    """
    before = world.find("subscription", changed["id"])
    items = changed["items"]["data"] if new_period else []
    invoice = bill_subscription(
        world, changed, term_lines(world, changed, items), reason="subscription_update"
    )
    invoice = finalize_invoice(world, invoice)
    if invoice["status"] == "open":
        collect(world, invoice)
    if invoice["status"] == "open":
        _keep_back(world, before, changed, invoice, new_period=new_period)
    else:
        world.change(changed)


def _keep_back(
    world: World, before: Document, changed: Document, invoice: Document, *, new_period: bool
) -> None:
    invoice["next_payment_attempt"] = None
    world.save(invoice)
    now = world.time_of(before)
    ends = [now + LIFETIME, earliest_end(before), before["trial_end"] or now + LIFETIME]
    mark(world, before["id"], pending=changed, pending_invoice=invoice["id"])
    before["latest_invoice"] = invoice["id"]
    before["pending_update"] = {
        "billing_cycle_anchor": changed["billing_cycle_anchor"] if new_period else None,
        "expires_at": min(end for end in ends if end > now),
        "metadata": _if_changed(before, changed, "metadata"),
        "subscription_items": changed["items"]["data"],
        "trial_end": _if_changed(before, changed, "trial_end"),
    }
    world.change(before)


def _if_changed(before: ReadOnly, changed: ReadOnly, name: str) -> object:
    return changed[name] if changed[name] != before[name] else None


def refuse_while_pending(world: World, subscription: ReadOnly) -> None:
    """Raise ApiError for another change while one is pending, if `Choices` says so."""
    if subscription["pending_update"] and world.choices.pending_changes == "refuse":
        raise invalid("This subscription has a pending update; it cannot be changed until then.")


def apply_if_paid(world: World, subscription: Document, invoice: ReadOnly) -> Document:
    """Apply the update that waits for this invoice, if there is one; return the subscription."""
    marks = marks_of(world, subscription["id"])
    if not subscription["pending_update"] or marks.get("pending_invoice") != invoice["id"]:
        return subscription
    subscription |= {name: marks["pending"][name] for name in APPLIED}
    subscription["pending_update"] = None
    subscription = world.change(subscription)
    world.announce("customer.subscription.pending_update_applied", subscription)
    return subscription


def pending_due(subscription: ReadOnly) -> int | None:
    """Return the Unix time at which a pending update expires, if there is one."""
    pending = subscription["pending_update"]
    return int(pending["expires_at"]) if pending else None


def expire_pending(world: World, subscription: Document) -> None:
    """Drop an update that was not paid in time, and void its invoice."""
    subscription = world.change(drop_pending(world, subscription))
    world.announce("customer.subscription.pending_update_expired", subscription)


def drop_pending(world: World, subscription: Document) -> Document:
    """Void the invoice of a pending update; return the subscription without it, not stored."""
    if subscription["pending_update"] is None:
        return subscription
    invoice_id = marks_of(world, subscription["id"])["pending_invoice"]
    invoice = world.find("invoice", invoice_id)
    if invoice["status"] == "open":
        void_invoice(world, invoice)
    subscription["pending_update"] = None
    return subscription
