"""`/v1/test_helpers/test_clocks`."""

from stripe.params.test_helpers import (
    TestClockAdvanceParams,
    TestClockCreateParams,
    TestClockDeleteParams,
    TestClockListParams,
    TestClockRetrieveParams,
)

from stripe_sandbox.billing.periods import DAY
from stripe_sandbox.billing.schedule import CLOCK, advance_clock
from stripe_sandbox.documents import Document
from stripe_sandbox.errors import invalid
from stripe_sandbox.operations import Call, Operation, listing, retrieve
from stripe_sandbox.resources import customers

LIFETIME = 30 * DAY


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
    return advance_clock(call.world, clock, target)


def delete(call: Call) -> Document:
    """Delete a clock and its customers."""
    world = call.world
    clock = world.find(CLOCK, call.id)
    for customer in list(world.store.all("customer")):
        if customer["test_clock"] == call.id:
            customers.delete(Call(world, {"id": customer["id"]}, {}))
    world.store.delete(CLOCK, call.id)
    world.announce(f"{CLOCK}.deleted", clock)
    return {"id": call.id, "object": CLOCK, "deleted": True}


PATH = "/test_helpers/test_clocks"

OPERATIONS = (
    Operation("POST", PATH, TestClockCreateParams, create),
    Operation("GET", PATH, TestClockListParams, listing(CLOCK)),
    Operation("GET", f"{PATH}/{{id}}", TestClockRetrieveParams, retrieve(CLOCK)),
    Operation("POST", f"{PATH}/{{id}}/advance", TestClockAdvanceParams, advance),
    Operation("DELETE", f"{PATH}/{{id}}", TestClockDeleteParams, delete),
)
