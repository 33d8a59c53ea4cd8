"""All events that have failed, or some, applied again: page after page, with what is left."""

from collections import Counter

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
    count_failed,
    list_failed_types,
    replay_failed_page,
)

pages = Pages()

MOST_AT_ONCE = 200
"""That takes about a second; the page then asks for the next ones."""
MOST_DAYS = 3650
_OUTCOMES = (*STATUSES, BUSY)

replay_failed = pages.action(
    "replay_failed", "/console/events/replay-failed", scope="admin:operate"
)


@replay_failed.show
async def show_replay_failed(visit: Visit, given: Given) -> Page:
    """Show what would be applied again: how many of which type, and why they have failed."""
    pool, selection = visit.app[keys.POOL], _selection(given)
    values = {
        "types": await list_failed_types(pool, selection),
        "events": await count_failed(pool, selection),
        "all_types": sorted(row["type"] for row in await list_failed_types(pool)),
        "type": selection.type or "",
        "days": given.text("days"),
    }
    return Page("replay_failed.html", values)


@replay_failed.do
async def do_replay_failed(visit: Visit, given: Given) -> Page:
    """Apply the oldest again that were not tried yet; say what became of all so far.

    What was tried is told by the form. Whoever starts again retries only what failed.
    """
    mirror, selection = visit.app[keys.MIRROR], _selection(given)
    replayed = await replay_failed_page(
        mirror, selection, _position(given), MOST_AT_ONCE, by=visit.actor
    )
    after = replayed.after
    outcomes = Counter({name: given.number(name) or 0 for name in _OUTCOMES}) + replayed.outcomes
    values = {
        "outcomes": outcomes,
        "tried": sum(outcomes.values()),
        "after": after,
        "to_try": await count_failed(mirror.pool, selection, after) if after else 0,
        "left": await count_failed(mirror.pool, selection),
        "type": selection.type or "",
        "days": given.text("days"),
    }
    return Page("replayed.html", values)


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
