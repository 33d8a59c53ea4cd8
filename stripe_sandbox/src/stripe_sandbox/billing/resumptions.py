"""What resumes a subscription that waits for its resumption invoice to be paid."""

from stripe_sandbox.billing.subscriptions import mark, marks_of, set_status
from stripe_sandbox.documents import ReadOnly
from stripe_sandbox.world import World

SETTLED = frozenset({"paid", "uncollectible"})


def finish_resumption(world: World, invoice: ReadOnly, subscription_id: str) -> None:
    """Resume a subscription that waits for this invoice, if that is paid or uncollectible."""
    marks = marks_of(world, subscription_id)
    if marks.get("resumption_invoice") != invoice["id"] or invoice["status"] not in SETTLED:
        return
    subscription = world.find("subscription", subscription_id)
    mark(world, subscription_id, resumption=None, resumption_invoice=None)
    if subscription["status"] != "paused":
        return
    subscription |= marks["resumption"]
    set_status(subscription, "active")
    world.change(subscription)
    announce_resumed(world, subscription_id)


def announce_resumed(world: World, subscription_id: str) -> None:
    """Announce that a subscription has been resumed."""
    subscription = world.find("subscription", subscription_id)
    world.announce("customer.subscription.resumed", subscription)
