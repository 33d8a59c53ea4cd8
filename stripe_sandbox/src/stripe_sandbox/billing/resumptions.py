"""What resumes a subscription that waits for its resumption invoice to be paid."""

from stripe_sandbox.billing.later import drop_task
from stripe_sandbox.billing.subscription_schedules import KIND as SCHEDULE
from stripe_sandbox.billing.subscription_schedules import scheduled_pause
from stripe_sandbox.billing.subscriptions import mark, marks_of, set_status
from stripe_sandbox.documents import ReadOnly
from stripe_sandbox.world import World

PAUSE_ENDS = "end_pause"
"""The task that resumes a subscription which was paused for a time."""

AHEAD = frozenset({"pending", "requires_action", "scheduled"})
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
    """Announce that a subscription has been resumed; nothing has to end its pause any more."""
    drop_task(world, PAUSE_ENDS, subscription_id)
    subscription = world.find("subscription", subscription_id)
    world.announce("customer.subscription.resumed", subscription)
    if subscription["schedule"]:
        _note_on_schedule(world, subscription["schedule"])


def _note_on_schedule(world: World, schedule_id: str) -> None:
    """Note on the schedule that the pause which it has planned is over."""
    schedule = world.find(SCHEDULE, schedule_id)
    entry = scheduled_pause(schedule)
    if entry and entry["resume"] and entry["resume"]["status"]["type"] in AHEAD:
        entry["resume"]["status"] = {"error": None, "type": "succeeded"}
        world.change(schedule)
