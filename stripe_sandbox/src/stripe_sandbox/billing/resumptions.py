"""What resumes a subscription that waits for its resumption invoice to be paid."""

from stripe_sandbox.billing.later import drop_task
from stripe_sandbox.billing.periods import restart_period, surrounding_period
from stripe_sandbox.billing.subscription_schedules import KIND as SCHEDULE
from stripe_sandbox.billing.subscription_schedules import scheduled_pause
from stripe_sandbox.billing.subscriptions import mark, marks_of, set_status
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

PAUSE_ENDS = "end_pause"
"""The task that resumes a subscription which was paused for a time."""

RESUMPTION_EXPIRES = "expire_resumption"
"""The task that voids the invoice of a resumption which nobody has tried to pay."""

AHEAD = frozenset({"pending", "requires_action", "scheduled"})
SETTLED = frozenset({"paid", "uncollectible"})


def finish_resumption(world: World, invoice: ReadOnly, subscription_id: str) -> None:
    """Resume a subscription that waits for this invoice, if that is paid or uncollectible."""
    marks = marks_of(world, subscription_id)
    if invoice["status"] not in SETTLED:
        return
    if marks.get("resumption_invoice") == invoice["id"]:
        _resume_waiting(world, subscription_id, "active")
    elif marks.get("paused_for") == invoice["id"] and world.dunning.resumes != "never":
        _resume_paid_up(world, subscription_id)


def resume_unpaid(world: World, invoice: Document, subscription_id: str) -> None:
    """Note a failed attempt to pay a resumption: the invoice stays, and may end the pause.

    It does with `resume_on_payment_attempt`: the subscription is past due, and nothing is retried.
    """
    marks = marks_of(world, subscription_id)
    if marks.get("resumption_invoice") != invoice["id"]:
        return
    drop_task(world, RESUMPTION_EXPIRES, invoice["id"])
    if marks.get("resumes_unpaid"):
        world.change(invoice | {"next_payment_attempt": None})
        _resume_waiting(world, subscription_id, "past_due")


def _resume_waiting(world: World, subscription_id: str, status: str) -> None:
    kept = marks_of(world, subscription_id)["resumption"]
    subscription = world.find("subscription", subscription_id)
    mark(world, subscription_id, resumption=None, resumption_invoice=None)
    if subscription["status"] != "paused":
        return
    subscription |= kept
    set_status(subscription, status)
    world.change(subscription)
    announce_resumed(world, subscription_id)


def _resume_paid_up(world: World, subscription_id: str) -> None:
    """Resume a subscription that was paused because it was not paid, and now is."""
    subscription = world.find("subscription", subscription_id)
    mark(world, subscription_id, paused_for=None)
    if subscription["status"] != "paused":
        return
    now, anchor = world.time_of(subscription), subscription["billing_cycle_anchor"]
    if world.dunning.resumes == "now":
        restart_period(subscription, now)
    else:
        for item in subscription["items"]["data"]:
            span = surrounding_period(item["price"], anchor, now)
            item |= {"current_period_start": span.start, "current_period_end": span.end}
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
    """Note on the schedule that the pause is over, if it has planned it."""
    schedule = world.find(SCHEDULE, schedule_id)
    entry = scheduled_pause(schedule)
    if entry and entry["resume"] and entry["resume"]["status"]["type"] in AHEAD:
        entry["resume"]["status"] = {"error": None, "type": "succeeded"}
        world.change(schedule)
    elif world.choices.paused_phases == "wait":
        world.save(schedule)  # the next phase is due from now on
