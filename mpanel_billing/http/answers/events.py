"""What /api/admin/events answers."""

from typing import Any

from mpanel_billing.answers import Answer, Moment, Part


class EventPart(Part):
    """An event in the inbox; `detail` says why it was ignored, or could not be applied."""

    id: str
    type: str
    object_id: str | None
    status: str
    attempts: int
    created: Moment | None
    received_at: Moment
    next_attempt_at: Moment | None
    detail: str | None


class WholeEventPart(Part):
    """An event with its payload, which is null once it has been pruned."""

    id: str
    type: str
    api_version: str | None
    object_id: str | None
    livemode: bool
    status: str
    reason: str | None
    attempts: int
    last_error: str | None
    created: Moment | None
    received_at: Moment
    next_attempt_at: Moment | None
    applied_at: Moment | None
    payload: dict[str, Any] | None


class EventsAnswer(Answer):
    """The newest events."""

    events: tuple[EventPart, ...]


class EventAnswer(Answer):
    """One event."""

    event: WholeEventPart


class ReplayAnswer(Answer):
    """What became of an event that was applied again."""

    id: str
    outcome: str
    reason: str | None


class ReplayedAnswer(Answer):
    """How many events came to which outcome; `busy`: another process was at them."""

    outcomes: dict[str, int]
