"""`/v1/events`."""

from fnmatch import fnmatchcase

from stripe.params import EventListParams, EventRetrieveParams

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid
from stripe_sandbox.operations import Call, Filter, Listing, Operation, listing, retrieve
from stripe_sandbox.outbox import DELIVERY
from stripe_sandbox.supported import supports


def _is_type(event: ReadOnly, pattern: str) -> bool:
    return fnmatchcase(event["type"], pattern)


def _is_any_type(event: ReadOnly, types: list[str]) -> bool:
    return event["type"] in types


def _is_kept(event: ReadOnly, since: int) -> bool:
    return bool(event["created"] >= since)


def _is_settled(event: ReadOnly, until: int) -> bool:
    return bool(event["created"] <= until)


UNLISTED_SECONDS = 60
KEPT_SECONDS = 30 * 86_400
"""Stripe lists the events of the last 30 days."""

FILTERS: dict[str, Filter] = {
    "type": _is_type,
    "types": _is_any_type,
    "kept_since": _is_kept,
    "made_until": _is_settled,
}
MOST_TYPES = 20


def list_events(call: Call) -> Document | Listing:
    """List events, newest first; `delivery_success` filters by whether all deliveries succeeded."""
    if call.get("type") and call.get("types"):
        raise invalid("You may only specify one of these parameters: type, types.", param="types")
    if len(call.get("types", [])) > MOST_TYPES:
        raise invalid(f"You may pass at most {MOST_TYPES} event names.", param="types")
    wanted = call.params.pop("delivery_success", None)
    call.params["kept_since"] = call.world.now() - KEPT_SECONDS
    if call.world.choices.listed_events == "later":
        call.params["made_until"] = call.world.now() - UNLISTED_SECONDS
    found = listing("event", **FILTERS)(call)
    if wanted is None or not isinstance(found, Listing):
        return found
    failed = {
        delivery["event"]
        for delivery in call.world.store.all(DELIVERY)
        if delivery["state"] != "delivered" and delivery["attempts"]
    }
    return Listing([e for e in found.documents if (e["id"] not in failed) == wanted])


OPERATIONS = (
    Operation(
        "GET",
        "/events",
        EventListParams,
        list_events,
        supports("created", "delivery_success", "type", "types"),
    ),
    Operation("GET", "/events/{id}", EventRetrieveParams, retrieve("event")),
)
