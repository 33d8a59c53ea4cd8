"""The parts that a run is cut into: each is walked by itself, and remembers how far it has come.

Stripe's lists can only be walked from one end, a page at a time; so what is to be walked at the
same time has to be separate stretches of `created`.
"""

import math
from dataclasses import dataclass, replace

from mpanel_billing.mirror.types import COMPARED, EVENT_TYPES
from mpanel_billing.stripe_gateway.gateway import MOST_TYPES

STEPS = ("replay", "compare", "absent", "inspect")
"""In their order: first the history that is missing, then the rest of what differs."""

EVENT_DAYS = 30
"""How long Stripe lists an event."""

_MOST_PARTS = 16
_SUBSCRIPTIONS_A_PART = 2000
_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Slice:
    """A part of a run; `created_from` and `created_before` are Unix times, None: no bound.

    The cursor is the last object that was done, and when it was made; None: none yet.
    """

    step: str
    subject: str
    part: int = 0
    created_from: int | None = None
    created_before: int | None = None
    cursor_id: str | None = None
    cursor_created: int | None = None

    def at(self, cursor_id: str | None, cursor_created: int | None) -> "Slice":
        """Return the same part with its cursor moved on."""
        return replace(self, cursor_id=cursor_id, cursor_created=cursor_created)


def cut(*, now: int, horizon: int, subscriptions: int, since: int | None) -> list[Slice]:
    """Cut a run into slices.

    `horizon` is about when the oldest object was made; what was made before `since` is left out
    (both Unix times). Which of ours Stripe lacks, only a run over everything can tell. The more
    subscriptions, the more slices, up to a limit.
    """
    parts = min(_MOST_PARTS, math.ceil((subscriptions + 1) / _SUBSCRIPTIONS_A_PART))
    oldest_event = max(now - EVENT_DAYS * _DAY, since or 0)
    return [
        *(Slice("replay", subject, created_from=oldest_event) for subject in event_subjects()),
        *(
            Slice("compare", subject, part, low, high)
            for subject in COMPARED
            for part, (low, high) in enumerate(_stretches(since, since or horizon, now, parts))
        ),
        *(Slice("absent", subject) for subject in COMPARED if since is None),
        Slice("inspect", "account"),
    ]


def _stretches(
    start: int | None, horizon: int, now: int, parts: int
) -> list[tuple[int | None, int | None]]:
    """Cut the time from the horizon until now evenly; the last stretch has no end."""
    bounds = [horizon + (now - horizon) * number // parts for number in range(1, parts)]
    return list(zip([start, *bounds], [*bounds, None], strict=True))


def event_subjects() -> list[str]:
    """Name the lists of events to walk: one for each so many types as Stripe takes at once."""
    return [f"event {number}" for number in range(math.ceil(len(EVENT_TYPES) / MOST_TYPES))]


def types_of(subject: str) -> list[str]:
    """Return the types of the events of such a list."""
    number = int(subject.removeprefix("event "))
    return sorted(EVENT_TYPES)[number * MOST_TYPES : (number + 1) * MOST_TYPES]
