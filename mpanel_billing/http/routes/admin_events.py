"""/api/admin/events: `mpanel-billing events` over HTTP."""

from typing import Any

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
from mpanel_billing.webhooks.event import Selection
from mpanel_billing.webhooks.inbox import list_events, show_event
from mpanel_billing.webhooks.replaying import (
    ReplayPage,
    position_of,
    replay_event,
    replay_failed_page,
    replay_ignored_page,
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


@routes.endpoint(
    "POST", "/api/admin/events/replay-failed", scope="admin:operate", refusals={NotFoundError: ()}
)
async def post_replay_failed(call: KeyedCall[None, ReplayFailedQuery]) -> ReplayedResponse:
    """Replay failed events, all or some, the oldest first: up to `limit`, then go on `after`."""
    return await _replay(call, call.query, replay_failed_page)


@routes.endpoint(
    "POST", "/api/admin/events/replay-ignored", scope="admin:operate", refusals={NotFoundError: ()}
)
async def post_replay_ignored(call: KeyedCall[None, ReplayIgnoredQuery]) -> ReplayedResponse:
    """Replay ignored events of a type, as after an upgrade that mirrors it: up to `limit`."""
    return await _replay(call, call.query, replay_ignored_page)


async def _replay(
    call: KeyedCall[None, Any], query: ReplayFailedQuery, replay_page: ReplayPage
) -> ReplayedResponse:
    mirror = call.app[keys.MIRROR]
    replayed = await replay_page(
        mirror,
        Selection(query.type, query.since_days),
        await position_of(mirror.pool, query.after),
        query.limit,
        by=call.actor,
    )
    after = replayed.after[1] if replayed.after else None
    return ReplayedResponse(outcomes=dict(replayed.outcomes), after=after)


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
