"""Objects of Stripe's API as values; this needs neither the SDK nor a connection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

PAGE_SIZE = 100
"""The most objects that Stripe lists at once."""

MAX_EVENT_TYPES = 20
"""The most event types that Stripe accepts as a filter of one list."""


@dataclass(frozen=True, slots=True)
class Resource:
    """A type of object in Stripe's API, at `path`.

    `expand` is sent when one is fetched, `list_params` when they are listed.
    """

    path: str
    expand: tuple[str, ...] = ()
    list_params: Mapping[str, Any] = field(default_factory=dict)


EVENTS = Resource("/v1/events")


@dataclass(frozen=True, slots=True)
class Fetched:
    """An object as Stripe returned it; Stripe read it between `since` and `as_of`.

    `as_of` is the `Date` of the response, by Stripe's clock; `since` is earlier by the duration
    of the call, by our monotonic clock, rounded up to whole seconds.
    """

    stripe_object: Mapping[str, Any]
    since: datetime
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list; Stripe read it between `since` and `as_of`, by its clock."""

    objects: Sequence[Mapping[str, Any]]
    has_more: bool
    since: datetime
    as_of: datetime
