"""All events that have failed, or some of them, applied again at once."""

from collections import Counter

from mpanel_billing.console.pages import Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.http import keys
from mpanel_billing.webhooks.event import Selection
from mpanel_billing.webhooks.inbox import list_failed_types, replay_failed_events

pages = Pages()

MOST_AT_ONCE = 500
"""That takes seconds; who has more sees to the rest in the same way."""
MOST_DAYS = 3650

replay_failed = pages.action(
    "replay_failed", "/console/events/replay-failed", scope="admin:operate"
)


@replay_failed.show
async def show_replay_failed(visit: Visit, given: Given) -> Page:
    """Show what would be applied again: how many of which type, and why they have failed."""
    pool, selection = visit.app[keys.POOL], _selection(given)
    types = await list_failed_types(pool, selection)
    values = {
        "types": types,
        "events": sum(row["events"] for row in types),
        "all_types": sorted(row["type"] for row in await list_failed_types(pool)),
        "most": MOST_AT_ONCE,
        "type": selection.type or "",
        "days": given.text("days"),
    }
    return Page("replay_failed.html", values)


@replay_failed.do
async def do_replay_failed(visit: Visit, given: Given) -> Page:
    """Apply them again, the oldest first; say what became of them."""
    mirror, selection = visit.app[keys.MIRROR], _selection(given)
    outcomes: Counter[str] = Counter()
    replayed = replay_failed_events(mirror, selection, most=MOST_AT_ONCE, by=visit.actor)
    async for _, outcome in replayed:
        outcomes[outcome.status if outcome else "busy"] += 1
    left = await list_failed_types(mirror.pool, selection)
    values = {"outcomes": outcomes, "left": sum(row["events"] for row in left)}
    return Page("replayed.html", values)


def _selection(given: Given) -> Selection:
    days = given.number("days")
    if days is not None and not 1 <= days <= MOST_DAYS:
        raise InvalidRequestError(
            f"Please enter 1 to {MOST_DAYS} days, or none.", fields={"days": "is not possible"}
        )
    return Selection(given.text("type") or None, days)
