"""The story of subscriptions, newest first and page by page, as who is signed in may read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from mpanel_billing.console.visit import Visit
from mpanel_billing.http import keys
from mpanel_billing.provisioning.operations import list_stories
from mpanel_billing.provisioning.timeline import Reader, TimelineEntry
from mpanel_billing.subscriptions.paging import Place, cut_page, read_cursor

MOST = 60
"""Entries of a page."""


@dataclass(frozen=True, slots=True)
class Story:
    """A page of a story; `more` is where the earlier entries begin, if there are any."""

    entries: Sequence[TimelineEntry]
    more: str | None


async def read_story(visit: Visit, subscription_ids: Sequence[UUID], after: str = "") -> Story:
    """Return a page of the story of subscriptions; InvalidRequestError for an unknown cursor."""
    place = read_cursor(after or None)
    reader = Reader(visit.zone, visit.may("billing:read"))
    told = await list_stories(visit.app[keys.POOL], subscription_ids, reader)
    left = _after(told[::-1], place)
    entries, more = cut_page(left[: MOST + 1], MOST, lambda one: Place(one.at, one.id))
    return Story(entries, more)


def _after(told: Sequence[TimelineEntry], place: Place | None) -> Sequence[TimelineEntry]:
    """Return what comes after a place; if its entry is not on record any more, what is older."""
    if place is None:
        return told
    found = [index for index, one in enumerate(told) if one.id == place.id]
    if found:
        return told[found[-1] + 1 :]
    return [one for one in told if one.at < place.at]
