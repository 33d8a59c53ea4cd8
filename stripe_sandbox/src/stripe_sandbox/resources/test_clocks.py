"""`/v1/test_helpers/test_clocks`."""

from stripe.params.test_helpers import (
    TestClockAdvanceParams,
    TestClockCreateParams,
    TestClockDeleteParams,
    TestClockListParams,
    TestClockRetrieveParams,
)

from stripe_sandbox.billing.periods import DAY, add_interval
from stripe_sandbox.billing.schedule import CLOCK, advance_clock
from stripe_sandbox.billing.subscriptions import FINAL_STATUSES
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.operations import Call, Operation, listing, retrieve
from stripe_sandbox.resources import customers
from stripe_sandbox.supported import supports
from stripe_sandbox.world import World

LIFETIME = 30 * DAY
MAX_INTERVALS = 2


def create(call: Call) -> Document:
    """Create a clock, frozen at a Unix time."""
    world = call.world
    now = world.now()
    clock = world.add(
        {
            "id": world.ids.next("clock"),
            "object": CLOCK,
            "created": now,
            "deletes_after": now + LIFETIME,
            "frozen_time": call.get("frozen_time"),
            "livemode": False,
            "name": call.get("name"),
            "status": "ready",
            "status_details": {},
        }
    )
    world.announce(f"{CLOCK}.created", clock)
    return clock


def advance(call: Call) -> Document:
    """Advance a clock; everything due on the way has happened when this returns."""
    clock = call.world.find(CLOCK, call.id)
    target = call.get("frozen_time")
    if target <= clock["frozen_time"]:
        message = "Test clocks can only be advanced to a time after their current frozen time."
        raise invalid(message, param="frozen_time")
    if target > _latest(call.world, clock):
        message = (
            "Test clocks can only be advanced up to two intervals from their current frozen time, "
            "based on their shortest subscription, or up to two years without a subscription."
        )
        raise invalid(message, param="frozen_time")
    return advance_clock(call.world, clock, target)


def _latest(world: World, clock: ReadOnly) -> int:
    """Return how far the clock may be advanced (`frozen_time` in Stripe's reference)."""
    now = clock["frozen_time"]
    intervals = (
        add_interval(now, recurring["interval"], MAX_INTERVALS * recurring["interval_count"])
        for customer in world.store.where("customer", "test_clock", clock["id"])
        for subscription in world.store.where("subscription", "customer", customer["id"])
        if subscription["status"] not in FINAL_STATUSES
        for recurring in (item["price"]["recurring"] for item in subscription["items"]["data"])
    )
    return min(intervals, default=add_interval(now, "year", MAX_INTERVALS))


def delete(call: Call) -> Document:
    """Delete a clock and its customers."""
    world = call.world
    clock = world.find(CLOCK, call.id)
    for customer in list(world.store.where("customer", "test_clock", call.id)):
        customers.delete(Call(world, {"id": customer["id"]}, {}))
    world.store.delete(CLOCK, call.id)
    world.announce(f"{CLOCK}.deleted", clock)
    return {"id": call.id, "object": CLOCK, "deleted": True}


PATH = "/test_helpers/test_clocks"

OPERATIONS = (
    Operation("POST", PATH, TestClockCreateParams, create, supports("frozen_time", "name")),
    Operation("GET", PATH, TestClockListParams, listing(CLOCK)),
    Operation("GET", f"{PATH}/{{id}}", TestClockRetrieveParams, retrieve(CLOCK)),
    Operation(
        "POST",
        f"{PATH}/{{id}}/advance",
        TestClockAdvanceParams,
        advance,
        supports("frozen_time"),
    ),
    Operation("DELETE", f"{PATH}/{{id}}", TestClockDeleteParams, delete),
)
