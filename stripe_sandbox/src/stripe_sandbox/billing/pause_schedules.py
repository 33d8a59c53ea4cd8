"""Pauses that a subscription schedule plans: when they begin, and when and how they end."""

from stripe_sandbox.billing.later import drop_task, plan_task
from stripe_sandbox.billing.pausing import PauseTerms, perform_pause, refuse_unpausable
from stripe_sandbox.billing.resuming import ResumeTerms, resume_as_told
from stripe_sandbox.billing.subscription_schedules import KIND, OPEN, scheduled_pause
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError, invalid
from stripe_sandbox.world import World

BEGINS = "begin_scheduled_pause"
ENDS = "end_scheduled_pause"
DONE: ReadOnly = {"error": None, "type": "succeeded"}


def plan_pause(world: World, schedule: Document) -> Document:
    """Plan what a schedule's pause still has to do; what is due now is done at once."""
    for task in (BEGINS, ENDS):
        drop_task(world, task, schedule["id"])
    entry = scheduled_pause(schedule)
    if entry is None or schedule["status"] not in OPEN:
        return schedule
    for task, part, moment in ((BEGINS, "pause", "pause_at"), (ENDS, "resume", "resume_at")):
        step = entry[part]
        if step and step["status"]["type"] == "scheduled":
            _plan(world, schedule, task, step[moment])
    return world.find(KIND, schedule["id"])


def _plan(world: World, schedule: ReadOnly, task: str, moment: int) -> None:
    left = moment - world.time_of(schedule)
    if left > 0:
        plan_task(world, task, schedule, left, clock=schedule["test_clock"])
    elif task == BEGINS:
        begin_pause(world, world.find(KIND, schedule["id"]))
    else:
        end_pause(world, world.find(KIND, schedule["id"]))


def begin_pause(world: World, schedule: Document) -> None:
    """Pause the subscription as planned; one that cannot be paused is noted as an error."""
    entry = scheduled_pause(schedule)
    if entry is None or schedule["status"] not in OPEN:
        return
    subscription = world.find("subscription", schedule["subscription"])
    try:
        refuse_unpausable(subscription)
    except ApiError as error:
        entry["pause"]["status"] = _failed(error)
    else:
        perform_pause(world, subscription, _terms(entry["pause"]["settings"]))
        entry["pause"]["status"] = {**DONE}
    world.change(schedule)


def _terms(settings: ReadOnly) -> PauseTerms:
    bill_for = settings["bill_for"]
    unused = bill_for["unused_time_from"]["type"]
    return PauseTerms(
        credits_from="now" if unused == "pause_at" else unused,
        bills_usage=bill_for["outstanding_usage_through"]["type"] == "pause_at",
        invoices=settings["invoicing_behavior"] == "invoice",
    )


def end_pause(world: World, schedule: Document) -> None:
    """Resume the subscription as planned; it is `pending` while that waits for a payment."""
    entry = scheduled_pause(schedule)
    if entry is None or schedule["status"] not in OPEN:
        return
    subscription = world.find("subscription", schedule["subscription"])
    if subscription["status"] != "paused":
        entry["resume"]["status"] = _failed(invalid("The subscription is not paused."))
        world.change(schedule)
        return
    entry["resume"]["status"] = {"error": None, "type": "pending"}
    world.change(schedule)
    settings = entry["resume"]["settings"]
    terms = ResumeTerms(
        keeps_anchor=settings["billing_cycle_anchor"] == "unchanged",
        proration=settings["proration_behavior"],
        at=world.time_of(subscription),
    )
    waits = settings["payment_behavior"] == "resume_on_payment_success"
    resume_as_told(world, subscription, terms, waits=waits)


def _failed(error: ApiError) -> Document:
    told = error.body["error"]
    return {"error": {"code": told.get("code"), "message": told["message"]}, "type": "error"}
