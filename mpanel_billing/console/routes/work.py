"""Work lists: what waits for a person, and whether everything runs."""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from mpanel_billing.console.pages import Done, Given, Page, Pages
from mpanel_billing.console.visit import Visit
from mpanel_billing.console.words import say
from mpanel_billing.errors import NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.messages import receivers
from mpanel_billing.search.work_lists import (
    list_debtors,
    list_trials,
    list_trouble,
    list_watched,
    with_objects,
)
from mpanel_billing.webhooks.inbox import list_events, show_event
from mpanel_billing.webhooks.replaying import replay_event

pages = Pages()

MOST = 50
MOST_OF_EACH = 10
"""Lines of each kind of trouble, where all kinds are shown."""
MOST_OF_A_PAYLOAD = 16_000
"""So that a page stays small."""
STATUSES = ("failed", "received", "ignored", "stale", "applied")
STATES = ("given_up", "waiting", "delivered")


@pages.page("/console/trouble", scope="admin:read")
async def show_trouble(visit: Visit, given: Given) -> Page:
    """Show trouble by kind, the oldest first: what it is, what settles it, and a way to do that."""
    kind = given.text("kind") or None
    pool = visit.app[keys.POOL]
    rows = await list_trouble(pool, kind, MOST if kind else MOST_OF_EACH)
    rows = await with_objects(pool, rows)
    return Page("trouble.html", _listed(rows) | {"kind": kind, "watched": False})


@pages.page("/console/watch", scope="admin:read")
async def show_watched(visit: Visit, given: Given) -> Page:
    """Show what Stripe or time settles."""
    kind = given.text("kind") or None
    rows = await list_watched(visit.app[keys.POOL], kind, MOST if kind else MOST_OF_EACH)
    return Page("trouble.html", _listed(rows) | {"kind": kind, "watched": True})


def _listed(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Group lines by their kind; the kind with the oldest line comes first."""
    first: dict[str, int] = {}
    for place, row in enumerate(rows):
        first.setdefault(row["trouble"], place)
    by_kind = sorted(rows, key=lambda row: first[row["trouble"]])
    return {
        "kinds": [(kind, list(of)) for kind, of in groupby(by_kind, lambda row: row["trouble"])],
    }


@pages.page("/console/events", scope="admin:read")
async def show_events(visit: Visit, given: Given) -> Page:
    """Show events, those that failed unless others are asked for."""
    status = given.text("status") or STATUSES[0]
    before = given.text("before") or None
    known = status if status in STATUSES else STATUSES[0]
    events = await list_events(visit.app[keys.POOL], known, MOST, before)
    more = events[-1]["id"] if len(events) == MOST else None
    return Page(
        "events.html", {"events": events, "status": known, "statuses": STATUSES, "more": more}
    )


@pages.page("/console/events/{id}", scope="admin:read")
async def show_one_event(visit: Visit, given: Given) -> Page:
    """Show an event: its error first, then its payload."""
    return Page("event.html", await _event(visit, given))


async def _event(visit: Visit, given: Given) -> dict[str, Any]:
    event = await show_event(visit.app[keys.POOL], given.path["id"])
    payload = event["payload"]
    text = None if payload is None else json.dumps(payload, indent=2, ensure_ascii=False)
    shown = text[:MOST_OF_A_PAYLOAD] if text else None
    is_private = not visit.may("billing:read")
    return {
        "event": event,
        "payload": None if is_private else shown,
        "is_replayable": shown is not None,
        "is_private": is_private,
        "is_cut": shown != text,
    }


replay = pages.action("replay", "/console/events/{id}/replay", scope="admin:operate")


@replay.show
async def show_replay(visit: Visit, given: Given) -> Page:
    """Show what is applied again."""
    return Page("replay.html", await _event(visit, given))


@replay.do
async def do_replay(visit: Visit, given: Given) -> Done:
    """Apply an event that failed or was ignored."""
    id_ = given.path["id"]
    outcome = await replay_event(visit.app[keys.MIRROR], id_, by=visit.actor)
    return Done(f"/console/events/{id_}", f"replayed_{outcome.status}")


@pages.page("/console/deliveries", scope="admin:read")
async def show_deliveries(visit: Visit, given: Given) -> Page:
    """Show messages to mPanel, those that were given up unless others are asked for."""
    asked = given.text("state")
    state = asked if asked in STATES else STATES[0]
    pool = visit.app[keys.POOL]
    deliveries = await receivers.list_deliveries(pool, state=state, most=MOST)
    values = {
        "state": state,
        "states": STATES,
        "deliveries": deliveries,
        "receivers": await receivers.list_all(pool),
        "is_cut": len(deliveries) == MOST,
    }
    return Page("deliveries.html", values)


resend = pages.action("resend", "/console/messages/{id}/resend", scope="admin:operate")


@resend.show
async def show_resend(visit: Visit, given: Given) -> Page:
    """Show a message, and to whom it goes again."""
    message, deliveries = await receivers.show_message(visit.app[keys.POOL], given.path["id"])
    given_up = [one for one in deliveries if one["state"] == "given_up"]
    if not given_up:
        raise NotFoundError(say("refusal.not_given_up"))
    return Page("resend.html", {"message": message, "deliveries": given_up})


@resend.do
async def do_resend(visit: Visit, given: Given) -> Done:
    """Send a message again to those for whom it was given up."""
    await receivers.resend_given_up(visit.app[keys.POOL], visit.actor, given.path["id"])
    return Done("/console/deliveries", "resent")


@pages.page("/console/debtors", scope="billing:read")
async def show_debtors(visit: Visit, _: Given) -> Page:
    """Show who owes, whom Stripe tries next first."""
    mirror = visit.app[keys.MIRROR]
    rows = await list_debtors(mirror.pool, MOST, livemode=mirror.livemode)
    return Page("debtors.html", {"debtors": rows, "is_cut": len(rows) == MOST})


@pages.page("/console/trials", scope="billing:read")
async def show_trials(visit: Visit, _: Given) -> Page:
    """Show the trials that end next, and what is charged then."""
    mirror = visit.app[keys.MIRROR]
    rows = await list_trials(mirror.pool, MOST, livemode=mirror.livemode)
    return Page("trials.html", {"trials": rows, "is_cut": len(rows) == MOST})


@pages.page("/console/health", scope="admin:read")
async def show_health(visit: Visit, _: Given) -> Page:
    """Show whether workers, jobs, webhooks and reconcile run."""
    figures = await visit.app[keys.FIGURES].read()
    return Page("health.html", {"figures": figures})
