"""Parses a signed body into an event and the snapshot that it carries; no I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from mpanel_billing.errors import MalformedRequestError
from mpanel_billing.mirror.reading import Fields, UnreadableObjectError, checked_id, require
from mpanel_billing.mirror.snapshot import Snapshot, snapshot_of_event
from mpanel_billing.mirror.types import EVENT_TYPES, MIRRORED_BY_NAME, TOLD_EVENT_TYPES
from mpanel_billing.mirror.types.discount import DISCOUNT_EVENT_TYPES, DiscountOwner, owner_of
from mpanel_billing.telemetry.quoting import error_text, quote
from mpanel_billing.webhooks.jsonb import Body, NotStorableError, read_object

_MAX_TEXT_LENGTH = 255

THIN = "v2.core.event"
"""The object of a thin event, which says only what it is about."""

USAGE_REPORTS = frozenset(
    {"v1.billing.meter.error_report_triggered", "v1.billing.meter.no_meter_found"}
)
"""Types of thin events that report usage which Stripe took and does not count."""


class NotAnEventError(MalformedRequestError):
    """The body is signed but is not a Stripe event."""

    code = "not_an_event"


class WrongModeError(MalformedRequestError):
    """A test event for a live key, or the reverse (rule 14)."""

    code = "wrong_mode"


class Event(NamedTuple):
    """An event as the inbox keeps it; `payload` is its JSON text.

    `snapshot` is the mirrored object that it carries. Without one the event is kept: as ignored
    with the `reason`, or, if it is of a mirrored type and cannot be read, as failed with the
    `error`. An event of a discount has its owner, which is fetched again; of a report of usage the
    event itself is.
    """

    id: str
    type: str
    api_version: str | None
    created: datetime | None
    livemode: bool
    object_id: str | None
    payload: str
    snapshot: Snapshot | None
    reason: str | None = None
    error: str | None = None
    discount_owner: DiscountOwner | None = None
    reports_usage: bool = False

    @property
    def has_effect(self) -> bool:
        """Whether more than the event itself is written."""
        return bool(self.snapshot or self.discount_owner or self.reports_usage)

    @property
    def batch_key(self) -> str:
        """What no two events of a batch may share: the object, or a session's order."""
        if self.snapshot is None:
            return self.object_id or self.id
        return MIRRORED_BY_NAME[self.snapshot.object_type].batch_key(self.snapshot.facts)


@dataclass(frozen=True, slots=True)
class Selection:
    """Events of one type, or received in the last days; None: any."""

    type: str | None = None
    since_days: int | None = None


Position: TypeAlias = tuple[datetime, str]
"""Where an event is in the order of receipt: when it was received, and its id."""


def parse_body(body: bytes) -> Body:
    """Return the JSON object that a body holds; NotAnEventError if there is none."""
    try:
        return read_object(body)
    except NotStorableError as error:
        raise NotAnEventError(f"The body is {error}.") from None


def parse_event(body: Body, *, livemode: bool) -> Event:
    """Return the event in a signed body; `livemode` is the mode of our Stripe key.

    NotAnEventError without an id to keep it by, WrongModeError for the other mode. Anything else
    that is unexpected is kept with the reason or the error.
    """
    payload = body.values
    try:
        event_id = checked_id(payload.get("id"), "id")
    except UnreadableObjectError as wrong:
        raise NotAnEventError(f"The body is not an event: {wrong}.") from None
    _check_mode(event_id, payload, livemode=livemode)
    reason = _reason_to_ignore(payload)
    snapshot, owner, error = None, None, None
    reports_usage = reason is None and payload["type"] in USAGE_REPORTS
    if reason is None and payload["type"] in DISCOUNT_EVENT_TYPES:
        owner, error = _read_owner(payload)
    elif reason is None and not reports_usage:
        snapshot, error = _read(event_id, payload, livemode=livemode)
    return Event(
        id=event_id,
        type=_label(payload.get("type")) or "unknown",
        api_version=_label(payload.get("api_version")),
        created=_created(payload),
        livemode=livemode,
        object_id=snapshot.object_id if snapshot else _object_id(payload),
        payload=body.text,
        snapshot=snapshot,
        reason=reason,
        error=error,
        discount_owner=owner,
        reports_usage=reports_usage,
    )


def _check_mode(event_id: str, payload: Mapping[str, Any], *, livemode: bool) -> None:
    stated = payload.get("livemode")
    if isinstance(stated, bool) and stated != livemode:
        raise WrongModeError(
            f"Event {event_id} is a {_mode(stated)} mode event, "
            f"but the configured Stripe key is a {_mode(livemode)} mode key."
        )


def _mode(livemode: bool) -> str:
    return "live" if livemode else "test"


def _reason_to_ignore(payload: Mapping[str, Any]) -> str | None:
    if payload.get("object") == THIN and _label(payload.get("type")) in USAGE_REPORTS:
        return None if payload.get("context") is None else "belongs to a connected account"
    if payload.get("object") != "event":
        return f"is a {_label(payload.get('object')) or 'nameless object'}, not an event"
    if payload.get("account") is not None:
        return "belongs to a connected account"
    if _label(payload.get("type")) not in EVENT_TYPES:
        return "its type is not mirrored"
    if payload["type"] in TOLD_EVENT_TYPES:
        return "its object does not exist yet"
    return None


def _read(
    event_id: str, payload: Mapping[str, Any], *, livemode: bool
) -> tuple[Snapshot | None, str | None]:
    """Return the snapshot, or the error with which the event is kept (rule 6)."""
    try:
        return _read_snapshot(event_id, payload, livemode=livemode), None
    except UnreadableObjectError as error:
        return None, quote(f"cannot be read: {error}")
    except Exception as error:  # noqa: BLE001 - a fault of ours must not refuse what Stripe sends once
        return None, error_text(error)


def _read_owner(payload: Mapping[str, Any]) -> tuple[DiscountOwner | None, str | None]:
    """Return the owner of the discount, or the error with which the event is kept."""
    try:
        return owner_of(Fields(payload).child("data", "object")), None
    except UnreadableObjectError as error:
        return None, quote(f"cannot be read: {error}")


def _read_snapshot(event_id: str, payload: Mapping[str, Any], *, livemode: bool) -> Snapshot:
    data = Fields(payload).child("data").values
    stripe_object = data.get("object")
    if not isinstance(stripe_object, dict):
        raise UnreadableObjectError("it has no object")
    previous = data.get("previous_attributes")
    return snapshot_of_event(
        stripe_object,
        event_id=event_id,
        event_type=payload["type"],
        created=require(Fields(payload).moment("created"), "created"),
        livemode=livemode,
        previous=previous if isinstance(previous, dict) else None,
    )


def _created(payload: Mapping[str, Any]) -> datetime | None:
    """Return when it was made: Unix seconds, of a thin event a text."""
    try:
        return Fields(payload).moment("created")
    except UnreadableObjectError:
        return _moment_in(payload["created"])


def _moment_in(created: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(created) if isinstance(created, str) else None
    except ValueError:
        return None
    return found if found and found.tzinfo else None


def _object_id(payload: Mapping[str, Any]) -> str | None:
    fields = Fields(payload)
    about = "related_object" if payload.get("object") == THIN else None
    part = fields.child(about) if about else fields.child("data", "object")
    return _label(part.values.get("id"))


def _label(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return value[:_MAX_TEXT_LENGTH]
