"""The part of `param_world` and `param_scenes` about meters and usage."""

from tests.stripe_sandbox.conftest import DAY, START
from tests.stripe_sandbox.desk import Desk
from tests.stripe_sandbox.param_cases import Scene, case, scene

SUM = {"default_aggregation": {"formula": "sum"}}
REPORT = {"event_name": "requests", "payload": {"stripe_customer_id": "$customer", "value": "5"}}


def add_meters(desk: Desk) -> None:
    """Add meters, active and not, and usage of two customers."""
    do = desk.do
    do("POST /billing/meters", keep="meter", display_name="Requests", event_name="requests", **SUM)
    do("POST /billing/meters", keep="bytes", display_name="Bytes", event_name="bytes", **SUM)
    do("POST /billing/meters", keep="stopped", display_name="Old", event_name="old", **SUM)
    do("POST /billing/meters/{id}/deactivate", of="stopped")
    for customer, identifier in (("$customer", "first"), ("$poor", "second")):
        payload = {"stripe_customer_id": customer, "value": "5"}
        do("POST /billing/meter_events", event_name="requests", identifier=identifier,
           payload=payload, timestamp=START + len(identifier))  # fmt: skip
    _add_metered_subscription(desk)


def _add_metered_subscription(desk: Desk) -> None:
    """Add a subscription that has used something for three days."""
    do = desk.do
    do("POST /test_helpers/test_clocks", keep="metered_clock", frozen_time=START - 3 * DAY)
    do("POST /customers", keep="user", test_clock="$metered_clock", payment_method="pm_card_visa",
       invoice_settings={"default_payment_method": "pm_card_visa"})  # fmt: skip
    terms = {"interval": "month", "usage_type": "metered", "meter": "$meter"}
    do("POST /prices", keep="metered", currency="usd", product="$product", unit_amount=3,
       recurring=terms)  # fmt: skip
    do("POST /subscriptions", keep="using", customer="$user", items=[{"price": "$metered"}])
    do("POST /test_helpers/test_clocks/{id}/advance", of="metered_clock", frozen_time=START)
    do("POST /billing/meter_events", event_name="requests", timestamp=START - 2 * DAY,
       payload={"stripe_customer_id": "$user", "value": "5"})  # fmt: skip


METERS: dict[str, Scene] = {
    "POST /billing/meters": scene(
        display_name="Calls",
        event_name="calls",
        **SUM,
        cases={
            "event_name": case("calls", "shouts"),
            "customer_mapping.event_payload_key": case(
                "a", "b", customer_mapping={"type": "by_id"}
            ),
            "customer_mapping.type": case(
                "by_id", customer_mapping={"event_payload_key": "customer"}
            ),
        },
    ),
    "POST /billing/meters/{id}": scene("meter"),
    "POST /billing/meters/{id}/deactivate": scene("meter"),
    "POST /billing/meters/{id}/reactivate": scene("stopped"),
    "GET /billing/meters/{id}/event_summaries": scene(
        "meter",
        customer="$customer",
        start_time=START,
        end_time=START + DAY,
        cases={
            "customer": case("$customer", "$elsewhere"),
            "start_time": case(START, START + 60),
            "end_time": case(START + DAY, START + 2 * DAY),
            "value_grouping_window": case("hour", "day"),
        },
    ),
    "POST /billing/meter_events": scene(
        **REPORT,
        cases={
            "event_name": case("requests", "bytes"),
            "payload": case(
                {"stripe_customer_id": "$customer", "value": "5"},
                {"stripe_customer_id": "$customer", "value": "6"},
            ),
            "timestamp": case(START, START + 1),
        },
    ),
    "POST /billing/meter_event_adjustments": scene(
        event_name="requests",
        type="cancel",
        cancel={"identifier": "first"},
        cases={
            "cancel.identifier": case("first", "second"),
            "event_name": case("requests", refused=("bytes",)),
        },
    ),
}
METERED = {
    "recurring.meter": case("$meter", "$bytes", recurring={"usage_type": "metered"}),
    "recurring.usage_type": case("metered", refused=("licensed",), recurring={"meter": "$meter"}),
}
