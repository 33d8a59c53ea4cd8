"""Which of two snapshots of one Stripe object is the newer one (rules 3 and 4).

Pure: values in, decision out. A snapshot describes its object at some moment between `since` and
`as_of`, by Stripe's clock. An event's `created` has a resolution of one second, so both are that
second. A fetched snapshot was read between the moment the request left and the `Date` of the
answer.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple


class Decision(Enum):
    """What to do with a snapshot.

    APPLY_AND_REFETCH: it is likely the newer one, so it is shown; but only Stripe can tell for
    sure, because an object may return to an earlier state within a second.
    """

    APPLY = "apply"
    STALE = "stale"
    REFETCH = "refetch"
    APPLY_AND_REFETCH = "apply and refetch"

    @property
    def applies(self) -> bool:
        """Whether the incoming snapshot replaces the stored one."""
        return self in {Decision.APPLY, Decision.APPLY_AND_REFETCH}

    @property
    def asks(self) -> bool:
        """Whether Stripe has to be asked."""
        return self in {Decision.REFETCH, Decision.APPLY_AND_REFETCH}


class Kind(Enum):
    """What an event says that happened to its object, in the order it can happen."""

    CREATED = 0
    UPDATED = 1
    DELETED = 2


class Version(NamedTuple):
    """When a snapshot was taken, and what helps to order it among those of the same second.

    `event_id`, `kind`, `content` and `previous` (Stripe's `previous_attributes`) are those of the
    event that carried it; of a fetched snapshot `event_id`, `kind` and `previous` are None.
    `content` may be None where it is not at hand. `progress` only ever grows in the life of an
    object. `read_after` is, of a fetched snapshot, the version (`as_of`, `event_id`) that was
    stored before the request left; of an event None.
    """

    since: datetime
    as_of: datetime
    event_id: str | None = None
    kind: Kind | None = None
    final: bool = False
    progress: tuple[int, ...] = ()
    content: Mapping[str, Any] | None = None
    previous: Mapping[str, Any] | None = None
    read_after: tuple[datetime, str | None] | None = None

    @property
    def key(self) -> tuple[datetime, str | None]:
        """What tells this version from the others of its object."""
        return (self.as_of, self.event_id)


def order(stored: Version | None, incoming: Version) -> Decision:
    """Decide whether the incoming snapshot replaces the stored one."""
    if stored is None or incoming.read_after == stored.key:
        return Decision.APPLY
    if incoming.event_id is not None and incoming.event_id == stored.event_id:
        return Decision.STALE
    if incoming.since > stored.as_of:
        return Decision.APPLY
    if incoming.as_of < stored.since:
        return Decision.STALE
    return _order_within_a_second(stored, incoming)


def _order_within_a_second(stored: Version, incoming: Version) -> Decision:
    if stored.final != incoming.final:
        return Decision.APPLY if incoming.final else Decision.STALE
    if stored.progress != incoming.progress:
        return Decision.APPLY if incoming.progress > stored.progress else Decision.STALE
    if stored.kind and incoming.kind and stored.kind is not incoming.kind:
        later = incoming.kind.value > stored.kind.value
        return Decision.APPLY if later else Decision.STALE
    if stored.content is not None and stored.content == incoming.content:
        return Decision.STALE
    return _order_by_previous_attributes(stored, incoming)


def _order_by_previous_attributes(stored: Version, incoming: Version) -> Decision:
    """Two updates of one second: what they say that they changed tells the likely order.

    It never proves it. With A -> B -> C -> A in one second, the update to B follows the last
    state as well as the first; so the answer always includes asking Stripe.
    """
    if _follows(incoming, stored) and not _follows(stored, incoming):
        return Decision.APPLY_AND_REFETCH
    return Decision.REFETCH


def _follows(later: Version, earlier: Version) -> bool:
    """Whether `later` changed exactly what distinguishes it from `earlier`."""
    if not later.previous or earlier.content is None or later.content is None:
        return False
    return _with_previous(later.content, later.previous) == dict(earlier.content)


def _with_previous(content: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
    """Undo an update: lay `previous_attributes` over the object that it led to."""
    undone = dict(content)
    for key, value in previous.items():
        now = undone.get(key)
        if isinstance(now, Mapping) and isinstance(value, Mapping) and not _replaces(now):
            undone[key] = _with_previous(now, value)
        else:
            undone[key] = value
    return undone


def _replaces(value: Mapping[str, Any]) -> bool:
    """Whether Stripe gives the previous value whole: lists and metadata-less nested objects."""
    return value.get("object") == "list"
