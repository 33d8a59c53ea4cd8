"""/api/admin/events: `mpanel-billing events` over HTTP."""

from collections import Counter
from collections.abc import AsyncIterator

from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.http import keys
from mpanel_billing.http.endpoint import Endpoints, KeyedCall
from mpanel_billing.http.paths import EventPath
from mpanel_billing.http.schemas.admin import (
    EventDetailSchema,
    EventResponse,
    EventSchema,
    EventsQuery,
    EventsResponse,
    ReplayedResponse,
    ReplayFailedQuery,
    ReplayIgnoredQuery,
    ReplayResponse,
)
from mpanel_billing.mirror.service import Outcome
from mpanel_billing.webhooks.event import Selection
from mpanel_billing.webhooks.inbox import list_events, show_event
from mpanel_billing.webhooks.replaying import (
    BUSY,
    replay_event,
    replay_failed_events,
    replay_ignored_events,
)

routes = Endpoints("admin")


@routes.endpoint("GET", "/api/admin/events", scope="admin:read")
async def get_events(call: KeyedCall[None, EventsQuery]) -> EventsResponse:
    """Return the latest events; `before` is the last one of the page before."""
    query = call.query
    rows = await list_events(
        call.app[keys.POOL], query.status or None, query.limit, query.before or None
    )
    return EventsResponse(events=tuple(EventSchema.of_row(row) for row in rows))


@routes.endpoint("GET", "/api/admin/events/{id}", scope="admin:read", refusals={NotFoundError: ()})
async def get_event(call: KeyedCall[EventPath]) -> EventResponse:
    """Return one event with its payload and its last error."""
    event = await show_event(call.app[keys.POOL], call.path.id)
    return EventResponse(event=EventDetailSchema.of_row(event))


@routes.endpoint("POST", "/api/admin/events/replay-failed", scope="admin:operate")
async def post_replay_failed(call: KeyedCall[None, ReplayFailedQuery]) -> ReplayedResponse:
    """Replay the failed events, all or some; returns how many had which outcome."""
    selection = Selection(call.query.type, call.query.since_days)
    return await _count(replay_failed_events(call.app[keys.MIRROR], selection, by=call.actor))


@routes.endpoint("POST", "/api/admin/events/replay-ignored", scope="admin:operate")
async def post_replay_ignored(call: KeyedCall[None, ReplayIgnoredQuery]) -> ReplayedResponse:
    """Replay ignored events of a type, as after an upgrade that mirrors it."""
    selection = Selection(call.query.type, call.query.since_days)
    return await _count(replay_ignored_events(call.app[keys.MIRROR], selection, by=call.actor))


async def _count(replayed: AsyncIterator[tuple[str, Outcome | None]]) -> ReplayedResponse:
    outcomes: Counter[str] = Counter()
    async for _, outcome in replayed:
        outcomes[outcome.status if outcome else BUSY] += 1
    return ReplayedResponse(outcomes=dict(outcomes))


@routes.endpoint(
    "POST",
    "/api/admin/events/{id}/replay",
    scope="admin:operate",
    refusals={NotFoundError: (), ConflictError: ()},
)
async def post_replay(call: KeyedCall[EventPath]) -> ReplayResponse:
    """Replay an event that has failed or was ignored; 409 if it was applied."""
    outcome = await replay_event(call.app[keys.MIRROR], call.path.id, by=call.actor)
    return ReplayResponse(id=call.path.id, outcome=outcome.status, reason=outcome.reason)
