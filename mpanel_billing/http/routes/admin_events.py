"""/api/admin/events: what `mpanel-billing events` does, over HTTP, behind a key."""

from collections import Counter
from http import HTTPStatus
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.access import require_scope
from mpanel_billing.http.answers.events import (
    EventAnswer,
    EventPart,
    EventsAnswer,
    ReplayAnswer,
    ReplayedAnswer,
    WholeEventPart,
)
from mpanel_billing.http.json_answer import answer
from mpanel_billing.http.names import EventId, read_name
from mpanel_billing.http.openapi.operation import Operation, described
from mpanel_billing.http.query_string import read_query
from mpanel_billing.webhooks.inbox import Status, list_events, show_event
from mpanel_billing.webhooks.replay import replay_event, replay_failed_events

routes = web.RouteTableDef()

MOST_EVENTS = 1000


class EventsQuery(BaseModel):
    """Which events."""

    status: Status | None = Field(None, description="Events of that status only.")
    limit: Annotated[int, Field(ge=1, le=MOST_EVENTS, description="How many at most.")] = 50


@routes.get("/api/admin/events")
@described(Operation("admin", {HTTPStatus.OK: EventsAnswer}, scope="admin:read", query=EventsQuery))
async def get_events(request: web.Request) -> web.Response:
    """Answer with the newest events."""
    await require_scope(request, "admin:read")
    query = read_query(request, EventsQuery)
    rows = await list_events(request.app[keys.POOL], query.status, query.limit)
    return answer(EventsAnswer(events=tuple(EventPart.of_row(row) for row in rows)))


@routes.get("/api/admin/events/{id}")
@described(
    Operation(
        "admin",
        {HTTPStatus.OK: EventAnswer},
        scope="admin:read",
        path={"id": EventId},
        refusals={NotFoundError: ()},
    )
)
async def get_event(request: web.Request) -> web.Response:
    """Answer with one event, its payload and its last error included."""
    await require_scope(request, "admin:read")
    event = await show_event(request.app[keys.POOL], read_name(request, "id"))
    return answer(EventAnswer(event=WholeEventPart.of_row(event)))


@routes.post("/api/admin/events/replay-failed")
@described(Operation("admin", {HTTPStatus.OK: ReplayedAnswer}, scope="admin"))
async def post_replay_failed(request: web.Request) -> web.Response:
    """Apply every failed event again; answers how many came to which outcome."""
    by = await require_scope(request, "admin")
    outcomes: Counter[str] = Counter()
    async for _, outcome in replay_failed_events(
        request.app[keys.POOL], livemode=request.app[keys.SETTINGS].livemode, by=by
    ):
        outcomes[outcome.status if outcome else "busy"] += 1
    return answer(ReplayedAnswer(outcomes=dict(outcomes)))


@routes.post("/api/admin/events/{id}/replay")
@described(
    Operation(
        "admin",
        {HTTPStatus.OK: ReplayAnswer},
        scope="admin",
        path={"id": EventId},
        refusals={NotFoundError: (), ConflictError: ()},
    )
)
async def post_replay(request: web.Request) -> web.Response:
    """Apply an event that failed or was ignored again; 409 where it took effect already."""
    by = await require_scope(request, "admin")
    event_id = read_name(request, "id")
    outcome = await replay_event(
        request.app[keys.POOL], event_id, livemode=request.app[keys.SETTINGS].livemode, by=by
    )
    return answer(ReplayAnswer(id=event_id, outcome=outcome.status, reason=outcome.reason))
