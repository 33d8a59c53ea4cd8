"""Reports what is wrong with meter events that were taken and not counted."""

from datetime import UTC, datetime

from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import ApiError
from stripe_sandbox.outbox import THIN
from stripe_sandbox.world import World

BY_METER = "v1.billing.meter.error_report_triggered"
WITHOUT_METER = "v1.billing.meter.no_meter_found"

_REPORTED_AS = {"meter_event_value_not_found": "meter_event_invalid_value"}
"""Codes of refusals that reports do not have, and what they call it."""


def report_error(world: World, error: ApiError, identifier: str, meter: ReadOnly | None) -> None:
    """Make a thin event of one meter event; Stripe reports those of a while together."""
    now = datetime.fromtimestamp(world.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    event: Document = {
        "id": world.ids.next("evt_test"),
        "object": THIN,
        "changes": None,
        "context": None,
        "created": now,
        "data": {
            "developer_message_summary": "There is 1 invalid event",
            "reason": {"error_count": 1, "error_types": [_error_type(error, identifier)]},
            "validation_end": now,
            "validation_start": now,
        },
        "livemode": False,
        "reason": None,
        "related_object": _related(meter) if meter else None,
        "snapshot_event": None,
        "type": BY_METER if meter else WITHOUT_METER,
    }
    world.outbox.plan(event)
    world.store.adopt(THIN, event)


def _error_type(error: ApiError, identifier: str) -> Document:
    refused = error.body["error"]
    code = refused.get("code", "meter_event_invalid_value")
    sample = {"error_message": refused["message"], "request": {"identifier": identifier}}
    return {"code": _REPORTED_AS.get(code, code), "error_count": 1, "sample_errors": [sample]}


def _related(meter: ReadOnly) -> Document:
    id_ = meter["id"]
    return {"id": id_, "type": "billing.meter", "url": f"/v1/billing/meters/{id_}"}
