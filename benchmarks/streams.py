"""The events that benchmarks send: streams of one kind each, all of 6 to 8 KB and all distinct.

A run's number dates its events, so that each run is newer than the one before.
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

from tests import stripe_objects as made

NOW = 1_790_000_000
SEEDED = 1_789_000_000
"""When the rows of known_subscriptions.sql were read."""
BYTES = 6800

MakeEvent = Callable[[int, int], dict[str, Any]]
"""Makes the event about the object of a number, in a run."""


def bodies(make: MakeEvent, count: int, subscriptions: int, run: int) -> list[bytes]:
    """Return the bodies of that many events, each about a different subscription."""
    chosen = random.Random(run).sample(range(1, subscriptions + 1), count)
    return [made.encoded(_padded(make(number, run))) for number in chosen]


def update(number: int, run: int) -> dict[str, Any]:
    """A known subscription renews, or gets a new invoice: nothing derived is affected."""
    if number % 2 == 0:
        return _invoice(run, f"{number:014}", f"in_{run}_{number:014}", "invoice.paid")
    return _subscription(run, f"{number:014}", "customer.subscription.updated")


def new_subscription(number: int, run: int) -> dict[str, Any]:
    """A subscription that no row names, of a customer that no row names."""
    return _subscription(run, f"new{run:05}{number:06}", "customer.subscription.created")


def new_invoice(number: int, run: int) -> dict[str, Any]:
    """The invoice of a subscription that is not known yet."""
    name = f"new{run:05}{number:06}"
    return _invoice(run, name, f"in_{name}", "invoice.created")


def status_change(number: int, run: int) -> dict[str, Any]:
    """A known subscription whose payment fails, or is made up for: its services are affected."""
    status = "past_due" if run % 2 else "active"
    name = f"{number:014}"
    return _subscription(run, name, "customer.subscription.updated", status=status)


def undecided(number: int, run: int) -> dict[str, Any]:
    """An update of the second in which the row was seeded: a tie, or stale if the row is newer."""
    more = {"at": SEEDED, "amount": 700 + run}
    return _subscription(run, f"{number:014}", "customer.subscription.updated", **more)


STREAMS: Mapping[str, MakeEvent] = {
    "updates": update,
    "new subscriptions": new_subscription,
    "new invoices": new_invoice,
    "status changes": status_change,
    "ties and stale": undecided,
}


def _subscription(
    run: int, name: str, type_: str, *, at: int | None = None, **more: Any
) -> dict[str, Any]:
    created = NOW + run if at is None else at
    about = made.subscription(f"sub_{name}", customer=f"cus_{name}", start=created, **more)
    return made.event(type_, about, id_=_event_id(run, name), created=created)


def _invoice(run: int, name: str, id_: str, type_: str) -> dict[str, Any]:
    about = made.invoice(id_, subscription=f"sub_{name}", customer=f"cus_{name}", created=NOW + run)
    return made.event(type_, about, id_=_event_id(run, name), created=NOW + run)


def _event_id(run: int, name: str) -> str:
    return f"evt_{run:06}{name:0>18}"


def _padded(event: dict[str, Any]) -> dict[str, Any]:
    """Grow an event with keys that the service does not read, like Stripe's own."""
    rest = BYTES - len(made.encoded(event))
    event["data"]["object"]["unread"] = {f"key_{n:03}": "value of a key" for n in range(rest // 36)}
    return event
