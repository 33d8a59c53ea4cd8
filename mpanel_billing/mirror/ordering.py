"""Which of two snapshots of a Stripe object is newer (rules 3 and 4).

Pure: values in, decision out. A snapshot shows its object at some moment between `since` and
`as_of`, by Stripe's clock. For an event both are `created`, which is in whole seconds; a fetched
snapshot was read between sending the request and the `Date` of the response.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any, NamedTuple


class Decision(Enum):
    """What to do with a snapshot.

    APPLY_AND_REFETCH: probably newer, so it is written; but an object can return to an earlier
    state within a second, so it is also refetched to be certain.
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
    def needs_refetch(self) -> bool:
        """Whether the object has to be fetched from Stripe to be certain."""
        return self in {Decision.REFETCH, Decision.APPLY_AND_REFETCH}


class Kind(Enum):
    """What happened to the object of an event; the values are in order of occurrence."""

    CREATED = 0
    UPDATED = 1
    DELETED = 2


class Version(NamedTuple):
    """When a snapshot was taken, and what orders it among others of the same second.

    `event_id`, `kind` and `previous` (Stripe's `previous_attributes`) come from the event, and are
    None for a fetched snapshot. `content` is None if it was not loaded. `progress` never decreases
    over the life of an object. `read_after` is the version (`as_of`, `event_id`) stored before the
    fetch was sent; None for an event. `test_clock`: the object lives by a test clock, so its
    events may be dated by another clock than its fetches.
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
    test_clock: bool = False

    @property
    def key(self) -> tuple[datetime, str | None]:
        """Identifies this version among those of its object."""
        return (self.as_of, self.event_id)


def order(stored: Version | None, incoming: Version) -> Decision:
    """Decide whether the incoming snapshot replaces the stored one."""
    if stored is None or incoming.read_after == stored.key:
        return Decision.APPLY
    if incoming.event_id is not None and incoming.event_id == stored.event_id:
        return Decision.STALE
    if incoming.test_clock and None in {stored.event_id, incoming.event_id}:
        return _order_by_content(stored, incoming)
    if incoming.since > stored.as_of:
        return Decision.APPLY
    if incoming.as_of < stored.since:
        return Decision.REFETCH if _has_come_further(incoming, stored) else Decision.STALE
    return _order_by_content(stored, incoming)


def _has_come_further(one: Version, other: Version) -> bool:
    """Whether the object has come further in one snapshot than in the other.

    What comes further later but is dated earlier is dated by two clocks.
    """
    return (one.final, one.progress) > (other.final, other.progress)


def _order_by_content(stored: Version, incoming: Version) -> Decision:
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
    """Order two updates of the same second by their previous attributes.

    This gives a likely order, not proof: with A -> B -> C -> A in one second, the update to B
    follows both the first state and the last. So the decision always includes a refetch.
    """
    if _follows(incoming, stored) and not _follows(stored, incoming):
        return Decision.APPLY_AND_REFETCH
    return Decision.REFETCH


def _follows(later: Version, earlier: Version) -> bool:
    """Whether undoing the change of `later` gives `earlier`."""
    if not later.previous or earlier.content is None or later.content is None:
        return False
    return _with_previous(later.content, later.previous) == dict(earlier.content)


def _with_previous(content: Mapping[str, Any], previous: Mapping[str, Any]) -> dict[str, Any]:
    """Undo an update by putting its `previous_attributes` back into the updated object."""
    undone = dict(content)
    for key, value in previous.items():
        now = undone.get(key)
        if isinstance(now, Mapping) and isinstance(value, Mapping) and not _replaces(now):
            undone[key] = _with_previous(now, value)
        else:
            undone[key] = value
    return undone


def _replaces(value: Mapping[str, Any]) -> bool:
    """Whether Stripe sends the previous value in full, as it does for lists."""
    return value.get("object") == "list"
