"""`/v1/billing/meters` and their event summaries."""

from collections.abc import Iterator

from stripe.params.billing import (
    MeterCreateParams,
    MeterDeactivateParams,
    MeterListEventSummariesParams,
    MeterListParams,
    MeterReactivateParams,
    MeterRetrieveParams,
    MeterUpdateParams,
)

from stripe_sandbox.billing.periods import DAY, HOUR, Period
from stripe_sandbox.billing.usage import METER, aggregate, usage_within
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.operations import Call, Listing, Operation, listing, retrieve
from stripe_sandbox.supported import supports
from stripe_sandbox.world import World

MINUTE = 60
WINDOWS = {None: MINUTE, "hour": HOUR, "day": DAY}
"""Seconds that the bounds of summaries are multiples of, by `value_grouping_window`."""


def create(call: Call) -> Document:
    """Create a meter; an event name belongs to one active meter."""
    world = call.world
    name = call.params["event_name"]
    if meter_of(world, name):
        message = f"There is already an active meter with the event name `{name}`."
        raise invalid(message, param="event_name")
    now = world.now()
    meter = world.add(
        {
            "id": world.ids.next("mtr_test"),
            "object": METER,
            "created": now,
            "customer_mapping": call.get(
                "customer_mapping", {"event_payload_key": "stripe_customer_id", "type": "by_id"}
            ),
            "default_aggregation": call.params["default_aggregation"],
            "display_name": call.params["display_name"],
            "event_name": name,
            "event_time_window": call.get("event_time_window"),
            "livemode": False,
            "status": "active",
            "status_transitions": {},
            "updated": now,
            "value_settings": call.get("value_settings", {"event_payload_key": "value"}),
        }
    )
    world.announce(f"{METER}.created", meter)
    return meter


def meter_of(world: World, event_name: str) -> ReadOnly | None:
    """Return the active meter of an event name."""
    meters = world.store.all(METER)
    return next(
        (m for m in meters if m["event_name"] == event_name and m["status"] == "active"), None
    )


def update(call: Call) -> Document:
    """Rename a meter."""
    meter = call.world.find(METER, call.id)
    return _change(call, meter, call.pick("display_name"), "updated")


def _change(call: Call, meter: Document, values: Document, event: str) -> Document:
    meter |= values
    meter["updated"] = call.world.now()
    return call.world.change(meter, f"{METER}.{event}")


def deactivate(call: Call) -> Document:
    """Deactivate a meter: it takes no events, and no new price."""
    meter = call.world.find(METER, call.id)
    if meter["status"] == "inactive":
        raise invalid("This meter is already inactive.")
    stopped = {"deactivated_at": call.world.now()}
    values = {"status": "inactive", "status_transitions": stopped}
    return _change(call, meter, values, "deactivated")


def reactivate(call: Call) -> Document:
    """Let a meter take events again, unless another one has its event name by now."""
    meter = call.world.find(METER, call.id)
    if meter["status"] == "active":
        raise invalid("This meter is already active.")
    if meter_of(call.world, meter["event_name"]):
        message = f"There is already an active meter with the event name `{meter['event_name']}`."
        raise invalid(message)
    return _change(call, meter, {"status": "active", "status_transitions": {}}, "reactivated")


def list_summaries(call: Call) -> Listing:
    """List what a customer's usage adds up to, in all or by windows, newest first."""
    meter = call.world.find(METER, call.id)
    customer = call.world.find("customer", call.params["customer"], "customer")["id"]
    window = call.get("value_grouping_window")
    span = Period(call.params["start_time"], call.params["end_time"])
    _check_span(span, window)
    summaries = [
        _summary(call.world, meter, customer, period)
        for period in reversed(list(_windows(span, window)))
        if window is None or usage_within(call.world, meter, customer, period)
    ]
    return Listing(summaries)


def _check_span(span: Period, window: str | None) -> None:
    for name, moment in (("start_time", span.start), ("end_time", span.end)):
        if moment % WINDOWS[window]:
            message = f"Invalid {name}: must be aligned with {window or 'minute'} boundaries."
            raise invalid(message, param=name)
    if span.end <= span.start:
        raise invalid("Invalid end_time: must be after start_time.", param="end_time")


def _windows(span: Period, window: str | None) -> Iterator[Period]:
    if window is None:
        yield span
        return
    for start in range(span.start, span.end, WINDOWS[window]):
        yield Period(start, start + WINDOWS[window])


def _summary(world: World, meter: ReadOnly, customer: str, period: Period) -> Document:
    facts = usage_within(world, meter, customer, period)
    place = f"{meter['id'].removeprefix('mtr_test_')}{period.start}{period.end}"
    return {
        "id": f"mtrusg_test_{place}",
        "object": "billing.meter_event_summary",
        "aggregated_value": float(aggregate(meter, facts)),
        "end_time": period.end,
        "livemode": False,
        "meter": meter["id"],
        "start_time": period.start,
    }


PATH = "/billing/meters"
ONE = f"{PATH}/{{id}}"
UPDATE = supports("display_name")
CREATE = supports(
    "customer_mapping",
    "default_aggregation",
    "event_name",
    "event_time_window",
    "value_settings",
    base=UPDATE,
)

OPERATIONS = (
    Operation("POST", PATH, MeterCreateParams, create, CREATE),
    Operation("GET", PATH, MeterListParams, listing(METER), supports("status")),
    Operation("GET", ONE, MeterRetrieveParams, retrieve(METER)),
    Operation("POST", ONE, MeterUpdateParams, update, UPDATE),
    Operation("POST", f"{ONE}/deactivate", MeterDeactivateParams, deactivate),
    Operation("POST", f"{ONE}/reactivate", MeterReactivateParams, reactivate),
    Operation(
        "GET",
        f"{ONE}/event_summaries",
        MeterListEventSummariesParams,
        list_summaries,
        supports("customer", "end_time", "start_time", "value_grouping_window"),
    ),
)
