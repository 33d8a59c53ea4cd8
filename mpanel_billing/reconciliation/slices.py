"""The slices of a run: each is walked separately, and saves its cursor.

Stripe's lists can only be read from one end, page by page; to read one concurrently, it is divided
into ranges of `created`.
"""

import math
from dataclasses import dataclass, replace

from mpanel_billing.mirror.types import COMPARED, EVENT_TYPES, LISTED
from mpanel_billing.stripe_gateway.objects import MAX_EVENT_TYPES

STEPS = ("replay", "compare", "absent", "inspect", "usage")
"""In order: receive missing events first, then compare what still differs."""

EVENT_DAYS = 30
"""How long Stripe keeps events."""

_MAX_PARTS = 16
_SUBSCRIPTIONS_PER_PART = 2000
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a run. `created_from` and `created_before` are Unix times; None is unbounded.

    The cursor is the last object processed and when it was created; None before the first.
    """

    step: str
    subject: str
    part: int = 0
    created_from: int | None = None
    created_before: int | None = None
    cursor_id: str | None = None
    cursor_created: int | None = None

    def at(self, cursor_id: str | None, cursor_created: int | None) -> "Slice":
        """Return the slice with another cursor."""
        return replace(self, cursor_id=cursor_id, cursor_created=cursor_created)


def cut(*, now: int, horizon: int, subscriptions: int, since: int | None) -> list[Slice]:
    """Cut a run into slices; the number of slices grows with that of subscriptions, up to a limit.

    `horizon` is roughly when the oldest object was created; objects created before `since` are
    skipped (both Unix times). Only a run without `since` can find objects that Stripe lacks.
    """
    parts = min(_MAX_PARTS, math.ceil((subscriptions + 1) / _SUBSCRIPTIONS_PER_PART))
    oldest_event = max(now - EVENT_DAYS * _DAY, since or 0)
    return [
        *(Slice("replay", subject, created_from=oldest_event) for subject in event_subjects()),
        *(
            Slice("compare", subject, part, low, high)
            for subject in LISTED
            for part, (low, high) in enumerate(_ranges(since, since or horizon, now, parts))
        ),
        *(Slice("absent", subject) for subject in COMPARED if since is None),
        Slice("inspect", "account"),
        Slice("usage", "sum"),
    ]


def _ranges(
    start: int | None, horizon: int, now: int, parts: int
) -> list[tuple[int | None, int | None]]:
    """Divide the time from the horizon until now evenly; the last range has no end."""
    bounds = [horizon + (now - horizon) * number // parts for number in range(1, parts)]
    return list(zip([start, *bounds], [*bounds, None], strict=True))


def event_subjects() -> list[str]:
    """Name the event lists to walk; each has as many event types as Stripe allows in a request."""
    return [f"event {number}" for number in range(math.ceil(len(EVENT_TYPES) / MAX_EVENT_TYPES))]


def types_of(subject: str) -> list[str]:
    """Return the event types of an event list."""
    number = int(subject.removeprefix("event "))
    return sorted(EVENT_TYPES)[number * MAX_EVENT_TYPES : (number + 1) * MAX_EVENT_TYPES]
