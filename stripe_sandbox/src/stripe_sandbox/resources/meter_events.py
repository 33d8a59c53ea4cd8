"""`/v1/billing/meter_events` and `/v1/billing/meter_event_adjustments`."""

from stripe.params.billing import MeterEventAdjustmentCreateParams, MeterEventCreateParams

from stripe_sandbox.billing.bad_usage import report_error
from stripe_sandbox.billing.periods import DAY
from stripe_sandbox.billing.usage import LAST_SEEN, Usage, cancel, record
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError, invalid, missing_param
from stripe_sandbox.operations import Call, Operation
from stripe_sandbox.resources.meters import meter_of
from stripe_sandbox.supported import supports

PAST, FUTURE = 35 * DAY, 5 * 60
"""How far from now usage may have been, in seconds (API reference, meter events)."""

UNIQUE_FOR = CANCELABLE_FOR = DAY
LONGEST = 100
_KNOWN = "duplicate_meter_event"


def create(call: Call) -> Document:
    """Report usage; it counts at once.

    By `Choices` what cannot be counted is taken, dropped, and reported by a thin event.
    """
    try:
        identifier, at, now = _count(call)
    except ApiError as error:
        if call.world.choices.bad_usage == "refuse":
            raise
        now = call.world.now()
        identifier = call.get("identifier") or call.world.ids.next("mtrevt")
        at = call.get("timestamp", now)
        if error.body["error"].get("code") != _KNOWN:
            meter = meter_of(call.world, call.params["event_name"])
            report_error(call.world, error, identifier, meter)
    return {
        "object": "billing.meter_event",
        "created": now,
        "event_name": call.params["event_name"],
        "identifier": identifier,
        "livemode": False,
        "payload": call.params["payload"],
        "timestamp": at,
    }


def _count(call: Call) -> tuple[str, int, int]:
    """Record usage; return its identifier, its time, and now. Raises ApiError if it is bad."""
    world = call.world
    meter = _meter(call)
    customer = _customer(call, meter)
    by_clock = world.choices.meter_event_time == "clock"
    now = world.time_of({"customer": customer}) if by_clock else world.now()
    usage = Usage(
        identifier=_identifier(call, now),
        meter=meter,
        customer=customer,
        value=_value(call, meter),
        at=_moment(call, now),
    )
    record(world, usage, received=now)
    return usage.identifier, usage.at, now


def _meter(call: Call) -> ReadOnly:
    name = call.params["event_name"]
    meter = meter_of(call.world, name)
    if meter is None:
        message = f"No active meter found for the event name `{name}`."
        raise invalid(message, param="event_name", code="no_meter")
    return meter


def _customer(call: Call, meter: ReadOnly) -> str:
    key = meter["customer_mapping"]["event_payload_key"]
    customer = call.params["payload"].get(key)
    if not customer:
        message = f"The payload must have the key `{key}` with the id of a customer."
        raise invalid(message, param=f"payload[{key}]", code="meter_event_no_customer_defined")
    if call.world.store.peek("customer", customer) is None:
        message = f"No such customer: '{customer}'"
        param = f"payload[{key}]"
        raise invalid(message, param=param, code="meter_event_customer_not_found")
    return str(customer)


def _identifier(call: Call, now: int) -> str:
    given = call.get("identifier")
    if given is None:
        return call.world.ids.next("mtrevt")
    if len(given) > LONGEST:
        raise invalid(f"Invalid identifier: at most {LONGEST} characters.", param="identifier")
    seen = call.world.store.peek(LAST_SEEN, given)
    if seen and now - seen["received"] < UNIQUE_FOR:
        message = f"An event already exists with identifier {given}."
        raise invalid(message, param="identifier", code=_KNOWN)
    return str(given)


def _value(call: Call, meter: ReadOnly) -> int:
    """Return the reported value, a whole number; events that are only counted need none."""
    key = meter["value_settings"]["event_payload_key"]
    text = str(call.params["payload"].get(key) or "").strip()
    if meter["default_aggregation"]["formula"] == "count":
        return 1
    if not text:
        message = f"The payload must have the key `{key}`."
        raise invalid(message, param=f"payload[{key}]", code="meter_event_value_not_found")
    if not text.removeprefix("-").isdecimal():
        message = f"Invalid value for the key `{key}`: it must be a whole number."
        raise invalid(message, param=f"payload[{key}]", code="meter_event_invalid_value")
    return int(text)


def _moment(call: Call, now: int) -> int:
    moment = call.get("timestamp", now)
    if moment < now - PAST:
        message = "The timestamp must be within the past 35 days."
        raise invalid(message, param="timestamp", code="timestamp_too_far_in_past")
    if moment > now + FUTURE:
        message = "The timestamp must not be more than 5 minutes in the future."
        raise invalid(message, param="timestamp", code="timestamp_in_future")
    return int(moment)


def adjust(call: Call) -> Document:
    """Cancel usage that was reported in the last 24 hours."""
    world, meter = call.world, _meter(call)
    identifier = call.get("cancel", {}).get("identifier")
    if identifier is None:
        raise missing_param("cancel[identifier]")
    seen = world.store.peek(LAST_SEEN, identifier)
    if seen is None or seen["meter"] != meter["id"]:
        message = f"No such meter event: '{identifier}'"
        raise invalid(message, param="cancel[identifier]", code="resource_missing")
    if world.time_of({"customer": seen["customer"]}) - seen["received"] > CANCELABLE_FOR:
        message = "You can only cancel events within 24 hours of Stripe receiving them."
        raise invalid(message, param="cancel[identifier]")
    cancel(world, seen)
    return {
        "object": "billing.meter_event_adjustment",
        "cancel": {"identifier": identifier},
        "event_name": meter["event_name"],
        "livemode": False,
        "status": "pending",
        "type": "cancel",
    }


EVENT = supports("event_name", "identifier", "payload", "timestamp")
ADJUSTMENT = supports("cancel", "event_name", "type")

OPERATIONS = (
    Operation("POST", "/billing/meter_events", MeterEventCreateParams, create, EVENT),
    Operation(
        "POST",
        "/billing/meter_event_adjustments",
        MeterEventAdjustmentCreateParams,
        adjust,
        ADJUSTMENT,
    ),
)
