"""Subscription schedules: phases that change a subscription when their time comes."""

from collections.abc import Sequence
from typing import Any

from stripe_sandbox.billing.periods import earliest_end
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.world import World

KIND = "subscription_schedule"
BARE = "_phases_without_discounts"
OPEN = frozenset({"active", "not_started"})
"""The statuses of a schedule that can still be changed."""

DEFAULTS: ReadOnly = {
    "billing_cycle_anchor": "automatic",
    "collection_method": "charge_automatically",
    "invoice_settings": {"issuer": {"type": "self"}},
}
"""Default settings of a schedule."""


def create_from(world: World, subscription: Document, metadata: ReadOnly) -> Document:
    """Create a schedule whose only phase is the subscription's current period."""
    items = subscription["items"]["data"]
    start = min(int(item["current_period_start"]) for item in items)
    phase = make_phase(
        subscription["currency"],
        start,
        earliest_end(subscription),
        items,
        default_tax_rates=subscription["default_tax_rates"],
        discounts=_held(subscription),
    )
    schedule = make_schedule(
        world,
        subscription["customer"],
        [phase],
        billing_mode={"type": subscription["billing_mode"]["type"]},
        default_settings=_settings_of(subscription),
        current_phase=_span(phase),
        metadata=metadata,
        status="active",
        subscription=subscription["id"],
    )
    subscription["schedule"] = schedule["id"]
    world.change(subscription)
    return schedule


def _settings_of(subscription: ReadOnly) -> Document:
    """Return the settings of a subscription as the defaults of its schedule."""
    days = subscription["days_until_due"]
    return {
        **DEFAULTS,
        "automatic_tax": {**subscription["automatic_tax"]},
        "collection_method": subscription["collection_method"],
        "default_payment_method": subscription["default_payment_method"],
        "description": subscription["description"],
        "invoice_settings": {"days_until_due": days, "issuer": {"type": "self"}},
    }


def make_schedule(world: World, customer_id: str, phases: list[Document], **more: Any) -> Document:
    """Store a schedule of phases and announce it; it has not started, unless `more` says so."""
    customer = world.find("customer", customer_id)
    schedule = world.add(
        {
            "id": world.ids.next("sub_sched"),
            "object": KIND,
            "billing_mode": {"type": "flexible"},
            "created": world.time_of(customer),
            "customer": customer_id,
            "default_settings": DEFAULTS,
            "end_behavior": "release",
            "livemode": False,
            "metadata": {},
            "pause_schedules": [],
            "phases": phases,
            "status": "not_started",
            "test_clock": world.clock_of(customer),
            **more,
        }
    )
    world.announce(f"{KIND}.created", schedule)
    return schedule


def make_phase(currency: str, start: int, end: int, items: list[Document], **more: Any) -> Document:
    """Return a phase between two Unix times with the prices and quantities of the items."""
    return {
        "add_invoice_items": [],
        "currency": currency,
        "default_tax_rates": [],
        "discounts": [],
        "end_date": end,
        "items": [_phase_item(item) for item in items],
        "metadata": {},
        "proration_behavior": "create_prorations",
        "start_date": start,
        **more,
    }


def _phase_item(item: ReadOnly) -> Document:
    price = item["price"]["id"]
    is_item = item.get("object") == "subscription_item"
    return {
        "discounts": _held(item) if is_item else item["discounts"],
        "metadata": item["metadata"],
        "plan": price,
        "price": price,
        "quantity": item.get("quantity"),
        "tax_rates": item["tax_rates"],
    }


def _held(holder: ReadOnly) -> list[Document]:
    """Return the discounts of a subscription or an item as those of a phase."""
    blank: Document = {"coupon": None, "promotion_code": None}
    return [{**blank, "discount": discount_id} for discount_id in holder["discounts"]]


def _span(phase: ReadOnly) -> Document:
    return {"start_date": phase["start_date"], "end_date": phase["end_date"]}


def schedule_due(world: World, schedule: ReadOnly) -> int | None:
    """Return the Unix time at which the schedule starts or its current phase ends, if any.

    The last phase lasts until a pause that is planned has begun and ended, unless `Choices` says
    otherwise.
    """
    if schedule["status"] == "not_started":
        return int(schedule["phases"][0]["start_date"])
    phase = schedule["current_phase"]
    if schedule["status"] != "active" or not phase:
        return None
    if world.choices.paused_phases == "wait" and _is_held(world, schedule):
        return None
    end = int(phase["end_date"])
    if world.choices.paused_schedule_end == "at-end":
        return end
    releases = schedule["end_behavior"] == "release" and next_phase(schedule) is None
    return max(end, _planned_until(schedule)) if releases else end


def _is_held(world: World, schedule: ReadOnly) -> bool:
    """Return whether the next phase waits for the end of a pause."""
    subscription = world.store.peek("subscription", schedule["subscription"])
    paused = subscription is not None and subscription["status"] == "paused"
    return paused and next_phase(schedule) is not None


def scheduled_pause(schedule: ReadOnly) -> Document | None:
    """Return the pause that a schedule plans, if it has one."""
    pauses: list[Document] = schedule["pause_schedules"]
    return pauses[0] if pauses else None


def _planned_until(schedule: ReadOnly) -> int:
    """Return the Unix time of the last step of a pause that is still to come, or 0."""
    entry = scheduled_pause(schedule) or {"pause": None, "resume": None}
    steps = ((entry["pause"], "pause_at"), (entry["resume"], "resume_at"))
    planned = (int(one[at]) for one, at in steps if one and one["status"]["type"] == "scheduled")
    return max(planned, default=0)


def next_phase(schedule: ReadOnly) -> Document | None:
    """Return the phase after the current one."""
    end = schedule["current_phase"]["end_date"]
    phases: list[Document] = schedule["phases"]
    return next((phase for phase in phases if phase["start_date"] == end), None)


def note_bare_phases(world: World, schedule: ReadOnly, given: Sequence[ReadOnly]) -> None:
    """Note which of the last phases have emptied their discounts, which the object cannot show."""
    placed = zip(schedule["phases"][-len(given) :], given, strict=True)
    emptied = [one["start_date"] for one, told in placed if told.get("discounts", ()) is None]
    world.store.put(BARE, {"id": schedule["id"], "phases": emptied})


def bare_phases(world: World, schedule_id: str) -> Sequence[int]:
    """Return when the phases begin that do not even have their customer's discount."""
    kept = world.store.peek(BARE, schedule_id)
    return kept["phases"] if kept else ()


def begin_phase(world: World, schedule: Document, phase: ReadOnly) -> None:
    """Note that a phase has begun."""
    schedule["current_phase"] = _span(phase)
    world.change(schedule)


def follow_items(world: World, subscription: ReadOnly) -> None:
    """Write the subscription's items, which were changed directly, into the current phase."""
    if subscription["schedule"] is None:
        return
    schedule = world.find(KIND, subscription["schedule"])
    start = schedule["current_phase"]["start_date"]
    for phase in schedule["phases"]:
        if phase["start_date"] == start:
            phase["items"] = [_phase_item(item) for item in subscription["items"]["data"]]
            phase["discounts"] = _held(subscription)
            phase["default_tax_rates"] = subscription["default_tax_rates"]
    world.change(schedule)


def set_end(world: World, subscription: Document, schedule: ReadOnly) -> None:
    """Give the subscription the end that the schedule sets, in Unix seconds, or none."""
    ends = schedule["end_behavior"] == "cancel"
    subscription["cancel_at"] = schedule["phases"][-1]["end_date"] if ends else None
    subscription["canceled_at"] = world.time_of(subscription) if ends else None


def release(world: World, schedule: Document, *, keeps_end: bool) -> Document:
    """End the schedule and leave its subscription as it is, without the end that it has set."""
    subscription_id = schedule["subscription"]
    schedule |= {
        "current_phase": None,
        "released_at": world.time_of(schedule),
        "released_subscription": subscription_id,
        "status": "released",
        "subscription": None,
    }
    schedule = world.save(schedule)
    world.announce(f"{KIND}.released", schedule)
    if subscription_id is None:
        return schedule
    subscription = world.find("subscription", subscription_id)
    subscription["schedule"] = None
    if schedule["end_behavior"] == "cancel" and not keeps_end:
        subscription |= {"cancel_at": None, "canceled_at": None}
    world.change(subscription)
    return schedule


def complete(world: World, schedule: Document) -> None:
    """End the schedule after its last phase, as `Choices` says instead of a release."""
    subscription = world.find("subscription", schedule["subscription"])
    now = world.time_of(schedule)
    schedule |= {"completed_at": now, "current_phase": None, "status": "completed"}
    world.announce(f"{KIND}.completed", world.save(schedule))
    world.change({**subscription, "schedule": None})


def cancel_unstarted(world: World, schedule: Document) -> Document:
    """Cancel a schedule before it has made a subscription."""
    schedule |= {"canceled_at": world.time_of(schedule), "status": "canceled"}
    schedule = world.save(schedule)
    world.announce(f"{KIND}.canceled", schedule)
    return schedule


def close(world: World, schedule_id: str | None, *, delinquent: bool) -> None:
    """End the schedule of a subscription that has ended: completed at its last phase's end.

    A schedule is aborted if its subscription was canceled because it was not paid (`delinquent`).
    """
    if schedule_id is None:
        return
    schedule = world.find(KIND, schedule_id)
    now = world.time_of(schedule)
    completed = schedule["end_behavior"] == "cancel" and schedule["phases"][-1]["end_date"] <= now
    status = "completed" if completed else "canceled"
    schedule |= {"current_phase": None, "status": status, f"{status}_at": now}
    schedule = world.save(schedule)
    aborted = delinquent and not completed
    world.announce(f"{KIND}.{'aborted' if aborted else status}", schedule)


def refuse_scheduled_cancellation(subscription: ReadOnly) -> None:
    """Raise ApiError if a schedule manages the subscription's end."""
    if subscription["schedule"] is not None:
        raise _managed(subscription, "any cancelation behavior")


def refuse_scheduled_items(world: World, subscription: ReadOnly) -> None:
    """Raise ApiError if a schedule manages the items, and `Choices` says that Stripe minds."""
    if subscription["schedule"] is not None and world.choices.scheduled_items == "refuse":
        raise _managed(subscription, "any items")


def _managed(subscription: ReadOnly, what: str) -> Exception:
    return invalid(
        f"The subscription is managed by the subscription schedule `{subscription['schedule']}`, "
        f"and updating {what} directly is not allowed. Please update the schedule instead."
    )
