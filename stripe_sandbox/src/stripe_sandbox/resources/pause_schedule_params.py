"""Reads `pause_schedules` of a subscription schedule."""

from typing import Any

from stripe_sandbox.billing.periods import add_interval
from stripe_sandbox.documents import Document, ReadOnly
from stripe_sandbox.errors import invalid, missing_param
from stripe_sandbox.operations import Call

PARAM = "pause_schedules"
HERE = f"{PARAM}[0]"
PLANNED: ReadOnly = {"error": None, "type": "scheduled"}
PAUSE: ReadOnly = {
    "bill_for": {
        "outstanding_usage_through": {"type": "pause_at"},
        "unused_time_from": {"type": "pause_at"},
    },
    "invoicing_behavior": "pending_invoice_item",
    "type": "subscription",
}
RESUME: ReadOnly = {
    "billing_cycle_anchor": "resume_at",
    "payment_behavior": "resume_on_payment_success",
    "proration_behavior": "create_prorations",
}
"""Settings that are not given: API reference, subscription schedules, `pause_schedules`."""


def read_pauses(
    call: Call, schedule: ReadOnly, subscription: ReadOnly | None = None
) -> list[Document]:
    """Return the pauses of a schedule after a request; an empty param clears them.

    `subscription` is that of the schedule, if it has begun. Raises ApiError for more than one
    pause, and for subscriptions that cannot be paused.
    """
    known = schedule[PARAM]
    if PARAM not in call.params:
        return list(known)
    given = call.params[PARAM]
    if not given:
        return []
    if len(given) > 1:
        raise invalid("Only one pause schedule is supported.", param=PARAM)
    _refuse_unsuitable(schedule)
    key = given[0].get("key")
    before = next((one for one in known if one["key"] == key), None)
    return [_entry(call, given[0], before, schedule, subscription)]


def _refuse_unsuitable(schedule: ReadOnly) -> None:
    """Raise ApiError unless all is flexible, and collected automatically."""
    if schedule["billing_mode"]["type"] != "flexible":
        message = "Pause schedules can only be used with `billing_mode[type]=flexible`."
        raise invalid(message, param=PARAM)
    default = schedule["default_settings"]["collection_method"]
    if any((one.get("collection_method") or default) == "send_invoice"
           for one in schedule["phases"]):  # fmt: skip
        message = "Pause schedules can only be used with `collection_method=charge_automatically`."
        raise invalid(message, param=PARAM)


def _entry(
    call: Call,
    given: ReadOnly,
    before: ReadOnly | None,
    schedule: ReadOnly,
    subscription: ReadOnly | None,
) -> Document:
    now = call.world.time_of(schedule)
    pause = _pause(given.get("pause"), before, schedule, subscription, now)
    resume: Any = before["resume"] if before else None
    if "resume" in given:
        resume = _resume(given["resume"], resume, pause["pause_at"], now)
    key = given.get("key") or call.world.ids.next("pause_sched")
    return {"key": key, "pause": pause, "resume": resume}


def _pause(
    given: ReadOnly | None,
    before: ReadOnly | None,
    schedule: ReadOnly,
    subscription: ReadOnly | None,
    now: int,
) -> Document:
    known: Any = before["pause"] if before else _present_pause(subscription)
    if given is None and known is None:
        raise missing_param(f"{HERE}[pause]")
    if given is None:
        return dict(known)
    if known and known["status"]["type"] == "succeeded":
        raise invalid("The subscription is already paused.", param=f"{HERE}[pause]")
    before_at: int | None = known["pause_at"] if known else None
    moment = _moment(given.get("pause_at"), before_at, now, "pause", "pause_at")
    if moment < schedule["phases"][0]["start_date"]:
        message = "A pause cannot begin before the schedule."
        raise invalid(message, param=f"{HERE}[pause][pause_at]")
    settings = _merged(known["settings"] if known else PAUSE, given.get("settings") or {})
    return {"pause_at": moment, "settings": settings, "status": {**PLANNED}}


def _present_pause(subscription: ReadOnly | None) -> Document | None:
    """Return the pause that a subscription is in, which an entry may give an end."""
    if subscription is None or subscription["status"] != "paused":
        return None
    at = subscription["status_details"]["paused"]["transitioned_at"]
    return {"pause_at": at, "settings": None, "status": {"error": None, "type": "succeeded"}}


def _resume(
    given: ReadOnly | None, before: ReadOnly | None, pause_at: int, now: int
) -> Document | None:
    if given is None:
        return None
    told = given.get("resume_at")
    if told and told["type"] == "duration":
        length = told.get("duration")
        if length is None:
            raise missing_param(f"{HERE}[resume][resume_at][duration]")
        moment = add_interval(pause_at, length["interval"], length.get("interval_count") or 1)
    else:
        known = before["resume_at"] if before else None
        moment = _moment(told, known, now, "resume", "resume_at")
    if moment < max(pause_at, now):
        message = "A subscription cannot resume before it is paused."
        raise invalid(message, param=f"{HERE}[resume][resume_at]")
    settings = _merged(before["settings"] if before else RESUME, given.get("settings") or {})
    return {"resume_at": moment, "settings": settings, "status": {**PLANNED}}


def _moment(given: ReadOnly | None, known: int | None, now: int, part: str, name: str) -> int:
    """Return a Unix time: the given one, that of the entry so far, or now."""
    path = f"{HERE}[{part}][{name}]"
    if given is None:
        if known is None:
            raise missing_param(path)
        return known
    if given["type"] == "now":
        return now
    if given.get("timestamp") is None:
        raise missing_param(f"{path}[timestamp]")
    if given["timestamp"] <= now:
        message = f"Invalid {path}: must be a timestamp in the future."
        raise invalid(message, param=f"{path}[timestamp]")
    return int(given["timestamp"])


def _merged(known: ReadOnly, given: ReadOnly) -> Document:
    """Return settings after an update; what it does not name stays."""
    merged: Document = dict(known)
    for name, value in given.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = _merged(merged[name], value) if both else value
    return merged
