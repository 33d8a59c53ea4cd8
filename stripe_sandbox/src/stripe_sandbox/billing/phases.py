"""What happens when a phase of a subscription schedule ends."""

from stripe_sandbox.billing.changes import change_items
from stripe_sandbox.billing.subscription_schedules import (
    KIND,
    begin_phase,
    next_phase,
    release,
    schedule_due,
)
from stripe_sandbox.billing.subscriptions import cancel_subscription
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World


def advance_schedule(world: World, schedule: Document) -> None:
    """Begin the next phase; after the last one, cancel the subscription or release it."""
    phase = next_phase(schedule)
    subscription = world.find("subscription", schedule["subscription"])
    if phase is None and schedule["end_behavior"] == "cancel":
        cancel_subscription(world, subscription)
        return
    if phase is None:
        release(world, schedule, keeps_end=True)
        return
    change_items(
        world,
        subscription,
        _changes(world, subscription, phase),
        proration=phase["proration_behavior"],
        at=world.time_of(subscription),
    )
    world.change(subscription)
    begin_phase(world, schedule, phase)


def advance_due_schedule(world: World, subscription: ReadOnly) -> None:
    """Begin the phase that is due, before the subscription's next term is billed."""
    if subscription["schedule"] is None:
        return
    schedule = world.find(KIND, subscription["schedule"])
    due = schedule_due(world, schedule)
    if due is not None and due <= world.time_of(schedule):
        advance_schedule(world, schedule)


def _changes(
    world: World, subscription: ReadOnly, phase: ReadOnly
) -> list[tuple[ReadOnly, ReadOnly | None]]:
    """Return the (param, price) pairs of an update: items change in place as far as there are."""
    items, wanted = subscription["items"]["data"], phase["items"]
    changes: list[tuple[ReadOnly, ReadOnly | None]] = []
    for position, item in enumerate(wanted):
        price = world.find("price", item["price"])
        place = {"id": items[position]["id"]} if position < len(items) else {}
        changes.append(({**place, "quantity": item["quantity"]}, price))
    surplus = items[len(wanted) :]
    return [*changes, *(({"id": item["id"], "deleted": True}, None) for item in surplus)]
