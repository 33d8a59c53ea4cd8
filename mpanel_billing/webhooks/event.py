"""A signed body to an event: what can be kept, and what it is about; no I/O."""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from mpanel_billing.errors import MalformedRequestError
from mpanel_billing.mirror.reading import Fields, UnreadableObjectError, checked_id
from mpanel_billing.mirror.snapshot import Snapshot, snapshot_of_event
from mpanel_billing.mirror.types import EVENT_TYPES, MIRRORED_BY_NAME

_MAX_DEPTH = 64
_MANY_BRACKETS = 500
"""Below, nothing can be nested so deep that PostgreSQL would refuse it."""
_MAX_TEXT_LENGTH = 255
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


class NotAnEventError(MalformedRequestError):
    """The body is signed, but is no event of Stripe's."""

    code = "not_an_event"


class WrongModeError(MalformedRequestError):
    """An event of the other mode: a test event for a live key, or the reverse (rule 14)."""

    code = "wrong_mode"


class Body(NamedTuple):
    """A JSON object, read and as text; the text is what PostgreSQL's jsonb can hold."""

    values: Mapping[str, Any]
    text: str

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Body":
        """Write an object that was read before."""
        return cls(values, json.dumps(values))


class Event(NamedTuple):
    """An event as it is kept in the inbox; `payload` is its JSON text.

    `snapshot` is what it says about an object that we mirror; None with the `reason` why it is
    kept without an effect.
    """

    id: str
    type: str
    api_version: str | None
    created: datetime | None
    livemode: bool
    object_id: str | None
    payload: str
    snapshot: Snapshot | None
    reason: str | None

    @property
    def batch_key(self) -> str:
        """What no two events of one batch may share: the object, of sessions the order."""
        if self.snapshot is None:
            return self.object_id or self.id
        return MIRRORED_BY_NAME[self.snapshot.object_type].batch_key(self.snapshot.facts)


def parse_body(body: bytes) -> Body:
    """Return the JSON object that a body is; NotAnEventError when it is none.

    What PostgreSQL's jsonb cannot hold is replaced: NUL characters and lone surrogates by the
    replacement character, numbers that are not finite or of thousands of digits by null. Of
    duplicate keys the last counts.
    """
    values, as_sent = _read(body)
    if not isinstance(values, dict):
        raise NotAnEventError("The body is no JSON object.")
    if _may_be_deep(body) and _depth_exceeds(values, _MAX_DEPTH):
        raise NotAnEventError(f"The body is nested deeper than {_MAX_DEPTH} levels.")
    return Body(values, body.decode()) if as_sent else Body.of(values)


def _read(body: bytes) -> tuple[object, bool]:
    """Read JSON; answers the value, and whether jsonb can hold it as it was sent.

    orjson refuses what is not finite and lone surrogates; what it refuses is read once more, with
    the values replaced that jsonb cannot hold.
    """
    # one byte is found a great deal faster than six
    if b"\\" not in body or _ESCAPED_NUL not in body:
        try:
            return orjson.loads(body), True
        except orjson.JSONDecodeError:
            pass
    try:
        return _storable(_CAREFUL.decode(body.decode())), False
    except (ValueError, RecursionError):
        raise NotAnEventError("The body is no JSON.") from None


def _null(_: str) -> None:
    return None


def _finite_or_null(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _readable_or_null(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:  # of more digits than Python reads
        return None


_ESCAPED_NUL = b"\\u0000"
_CAREFUL = json.JSONDecoder(
    parse_float=_finite_or_null, parse_int=_readable_or_null, parse_constant=_null
)


def parse_event(body: Body, *, livemode: bool) -> Event:
    """Return the event that a signed body is; `livemode` is the mode of our Stripe key.

    Raises NotAnEventError when there is no id to keep it by, WrongModeError when it is of the
    other mode. Everything else that is odd is kept, with the reason.
    """
    payload = body.values
    try:
        event_id = checked_id(payload.get("id"), "id")
    except UnreadableObjectError as error:
        raise NotAnEventError(f"The body is no event: {error}.") from None
    _check_mode(event_id, payload, livemode=livemode)
    snapshot, reason = _read_snapshot(event_id, payload, livemode=livemode)
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
    )


def _check_mode(event_id: str, payload: Mapping[str, Any], *, livemode: bool) -> None:
    stated = payload.get("livemode")
    if isinstance(stated, bool) and stated != livemode:
        raise WrongModeError(
            f"Event {event_id} is of {_mode(stated)} mode, "
            f"our Stripe key is of {_mode(livemode)} mode."
        )


def _mode(livemode: bool) -> str:
    return "live" if livemode else "test"


def _read_snapshot(
    event_id: str, payload: Mapping[str, Any], *, livemode: bool
) -> tuple[Snapshot | None, str | None]:
    if reason := _reason_to_ignore(payload):
        return None, reason
    created = _created(payload)
    if created is None:
        return None, "has no time of creation"
    previous = payload["data"].get("previous_attributes")
    try:
        snapshot = snapshot_of_event(
            payload["data"]["object"],
            event_id=event_id,
            event_type=payload["type"],
            created=created,
            livemode=livemode,
            previous=previous if isinstance(previous, dict) else None,
        )
    except UnreadableObjectError as error:
        return None, f"its object cannot be read: {error}"
    return snapshot, None


def _reason_to_ignore(payload: Mapping[str, Any]) -> str | None:
    if payload.get("object") != "event":
        return f"is a {_label(payload.get('object')) or 'nameless object'}, not an event"
    if payload.get("account") is not None:
        return "is of a connected account"
    if payload.get("type") not in EVENT_TYPES:
        return "is of a type that is not mirrored"
    data = payload.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("object"), dict):
        return "carries no object"
    return None


def _created(payload: Mapping[str, Any]) -> datetime | None:
    try:
        return Fields(payload).moment("created")
    except UnreadableObjectError:
        return None


def _object_id(payload: Mapping[str, Any]) -> str | None:
    return _label(Fields(payload).child("data", "object").values.get("id"))


def _label(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return value[:_MAX_TEXT_LENGTH]


def _may_be_deep(body: bytes) -> bool:
    return body.count(b"[") + body.count(b"{") > _MANY_BRACKETS


def _storable(value: object) -> object:
    if isinstance(value, str):
        return _storable_text(value)
    if isinstance(value, list):
        return [_storable(item) for item in value]
    if isinstance(value, dict):
        return {_storable_text(key): _storable(item) for key, item in value.items()}
    return value


def _storable_text(text: str) -> str:
    without_nul = text.replace("\x00", _REPLACEMENT)
    return without_nul.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _depth_exceeds(value: object, levels: int) -> bool:
    """Whether a value is nested deeper than that many levels; without recursion."""
    level = _nested_in(value)
    for _ in range(levels):
        level = [grandchild for child in level for grandchild in _nested_in(child)]
        if not level:
            return False
    return True


def _nested_in(value: object) -> list[object]:
    if isinstance(value, dict):
        return [child for child in value.values() if isinstance(child, dict | list)]
    if isinstance(value, list):
        return [child for child in value if isinstance(child, dict | list)]
    return []
