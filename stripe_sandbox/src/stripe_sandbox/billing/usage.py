"""Usage: what customers report to meters, and what it adds up to."""

from dataclasses import dataclass

from stripe_sandbox.billing.periods import Period
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.world import World

METER = "billing.meter"
USAGE = "_usage"
LAST_SEEN = "_meter_event"
"""Kind of the meter events by their identifier."""


def is_metered(price: ReadOnly) -> bool:
    """Return whether a price is billed by usage, after the period."""
    return bool(price["recurring"] and price["recurring"]["usage_type"] == "metered")


@dataclass(frozen=True)
class Usage:
    """What a customer reports to a meter; `at` is when it was used, in Unix seconds."""

    identifier: str
    meter: ReadOnly
    customer: str
    value: int
    at: int


def record(world: World, usage: Usage, *, received: int) -> None:
    """Store usage that was received at a Unix time."""
    holder = _holder(usage.meter["id"], usage.customer)
    fact = {"id": f"{holder}:{usage.identifier}", "holder": holder, "canceled": False}
    world.store.put(USAGE, fact | {"value": usage.value, "at": usage.at})
    seen = {"id": usage.identifier, "fact": fact["id"], "received": received}
    about = {"meter": usage.meter["id"], "customer": usage.customer}
    world.store.put(LAST_SEEN, seen | about)


def cancel(world: World, seen: ReadOnly) -> None:
    """Let usage that was recorded count no more; `seen` is its entry in LAST_SEEN."""
    fact = world.store.get(USAGE, seen["fact"])
    if fact:
        world.store.put(USAGE, fact | {"canceled": True})


def _holder(meter_id: str, customer_id: str) -> str:
    """Return the name under which the store finds a customer's usage."""
    return f"{meter_id}:{customer_id}"


def usage_within(world: World, meter: ReadOnly, customer_id: str, period: Period) -> list[ReadOnly]:
    """Return the usage of a period, in the order in which it was received."""
    return [
        fact
        for fact in world.store.where(USAGE, "holder", _holder(meter["id"], customer_id))
        if not fact["canceled"] and period.start <= fact["at"] < period.end
    ]


def aggregate(meter: ReadOnly, facts: list[ReadOnly]) -> int:
    """Return what usage adds up to, by the formula of its meter."""
    formula = meter["default_aggregation"]["formula"]
    if formula == "count":
        return len(facts)
    if formula == "last":
        return int(max(facts, key=lambda fact: int(fact["at"]))["value"]) if facts else 0
    return sum(int(fact["value"]) for fact in facts)


def billed_usage(world: World, price: ReadOnly, customer_id: str, period: Period) -> int:
    """Return the quantity to bill for a period; less than nothing is nothing."""
    meter: Document = world.find(METER, price["recurring"]["meter"])
    return max(aggregate(meter, usage_within(world, meter, customer_id, period)), 0)
