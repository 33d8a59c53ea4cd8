"""Events that have failed, or were ignored, applied again: page after page, with what is left."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import asyncpg

from mpanel_billing.console.forms import read_hidden_time
from mpanel_billing.console.pages import Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.http import keys
from mpanel_billing.webhooks.event import Position, Selection
from mpanel_billing.webhooks.inbox import STATUSES
from mpanel_billing.webhooks.replaying import (
    BEGINNING,
    BUSY,
    ReplayPage,
    count_failed,
    count_ignored,
    list_failed_types,
    list_ignored_types,
    replay_failed_page,
    replay_ignored_page,
)

pages = Pages()

MOST_AT_ONCE = 200
"""That takes about a second; the page then asks for the next ones."""
MOST_DAYS = 3650
_OUTCOMES = (*STATUSES, BUSY)

ListTypes = Callable[..., Awaitable[Sequence[asyncpg.Record]]]
Count = Callable[..., Awaitable[int]]


class _Kind(NamedTuple):
    """Events that are applied again: what lists, counts and applies them; `all_types` at once."""

    word: str
    list_types: ListTypes
    count_events: Count
    replay_page: ReplayPage
    all_types: bool


_KINDS = (
    _Kind("failed", list_failed_types, count_failed, replay_failed_page, all_types=True),
    _Kind("ignored", list_ignored_types, count_ignored, replay_ignored_page, all_types=False),
)


def _declare(kind: _Kind) -> None:
    name = f"replay_{kind.word}"
    action = pages.action(name, f"/console/events/replay-{kind.word}", scope="admin:operate")

    @action.show
    async def show(visit: Visit, given: Given) -> Page:
        pool, selection = visit.app[keys.POOL], _selection(given)
        is_told = kind.all_types or selection.type is not None
        values = {
            **_asked(name, kind, given),
            "types": await kind.list_types(pool, selection) if is_told else [],
            "events": await kind.count_events(pool, selection) if is_told else 0,
            "all_types": sorted(row["type"] for row in await kind.list_types(pool)),
        }
        return Page("replay_failed.html", values)

    @action.do
    async def do(visit: Visit, given: Given) -> Page:
        """Apply the oldest again that were not tried yet; say what became of all so far.

        What was tried is told by the form. A second start retries only what is left.
        """
        mirror, selection = visit.app[keys.MIRROR], _selection(given)
        if not kind.all_types and selection.type is None:
            raise InvalidRequestError(say("refusal.no_type"), fields={"type": "is missing"})
        replayed = await kind.replay_page(
            mirror, selection, _position(given), MOST_AT_ONCE, by=visit.actor
        )
        after = replayed.after
        told = Counter({word: given.number(word) or 0 for word in _OUTCOMES}) + replayed.outcomes
        values = {
            **_asked(name, kind, given),
            "outcomes": told,
            "tried": sum(told.values()),
            "after": after,
            "to_try": await kind.count_events(mirror.pool, selection, after) if after else 0,
            "left": await kind.count_events(mirror.pool, selection),
        }
        return Page("replayed.html", values)


for _kind in _KINDS:
    _declare(_kind)


def _asked(name: str, kind: _Kind, given: Given) -> dict[str, Any]:
    asked = {"type": given.text("type"), "days": given.text("days")}
    return {"act": name, "word": kind.word, "needs_type": not kind.all_types, **asked}


def _selection(given: Given) -> Selection:
    days = given.number("days")
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise InvalidRequestError(
            say("refusal.days_back", n=MOST_DAYS), fields={"days": "is not possible"}
        )
    return Selection(given.text("type") or None, days)


def _position(given: Given) -> Position:
    """Return after which event to go on."""
    at = given.text("after_at")
    return (read_hidden_time(at), given.text("after_id")) if at else BEGINNING
