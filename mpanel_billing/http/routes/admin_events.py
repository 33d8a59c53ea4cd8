"""/api/admin/events: what `mpanel-billing events` does, over HTTP, behind a key."""

from collections import Counter

from aiohttp import web

from mpanel_billing.errors import InvalidRequestError
from mpanel_billing.http import keys
from mpanel_billing.http.access import require_admin_key
from mpanel_billing.http.plain import plain_row
from mpanel_billing.webhooks.inbox import STATUSES, list_events, show_event
from mpanel_billing.webhooks.replay import replay_event, replay_failed_events

routes = web.RouteTableDef()

MOST_EVENTS = 1000
_DEFAULT_EVENTS = 50


@routes.get("/api/admin/events")
async def get_events(request: web.Request) -> web.Response:
    """Answer with the newest events: `?status=` one status, `?limit=` how many (at most 1000)."""
    require_admin_key(request)
    status = request.query.get("status")
    if status is not None and status not in STATUSES:
        raise InvalidRequestError(
            f"There is no status {status[:40]!r}.",
            fields={"status": f"must be one of: {', '.join(STATUSES)}"},
        )
    rows = await list_events(request.app[keys.POOL], status, _limit(request))
    return web.json_response({"success": True, "events": [plain_row(row) for row in rows]})


@routes.get("/api/admin/events/{id}")
async def get_event(request: web.Request) -> web.Response:
    """Answer with one event, its payload and its last error included."""
    require_admin_key(request)
    event = await show_event(request.app[keys.POOL], request.match_info["id"])
    return web.json_response({"success": True, "event": plain_row(event)})


@routes.post("/api/admin/events/replay-failed")
async def post_replay_failed(request: web.Request) -> web.Response:
    """Apply every failed event again; answers how many came to which outcome."""
    require_admin_key(request)
    outcomes: Counter[str] = Counter()
    async for _, outcome in replay_failed_events(
        request.app[keys.POOL], livemode=request.app[keys.SETTINGS].livemode
    ):
        outcomes[outcome.status if outcome else "busy"] += 1
    return web.json_response({"success": True, "outcomes": dict(outcomes)})


@routes.post("/api/admin/events/{id}/replay")
async def post_replay(request: web.Request) -> web.Response:
    """Apply an event that failed or was ignored again; 409 where it took effect already."""
    require_admin_key(request)
    event_id = request.match_info["id"]
    outcome = await replay_event(
        request.app[keys.POOL], event_id, livemode=request.app[keys.SETTINGS].livemode
    )
    return web.json_response(
        {"success": True, "id": event_id, "outcome": outcome.status, "reason": outcome.reason}
    )


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", str(_DEFAULT_EVENTS))
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:6]) <= MOST_EVENTS):
        raise InvalidRequestError(
            "The limit is no number that we can use.",
            fields={"limit": f"must be a whole number from 1 to {MOST_EVENTS}"},
        )
    return int(text)
