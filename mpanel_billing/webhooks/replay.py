"""Apply kept events again, when a person asks for it."""

from collections import Counter
from collections.abc import AsyncIterator

from mpanel_billing.access import audit
from mpanel_billing.access.actor import Actor
from mpanel_billing.access.audit import Target
from mpanel_billing.database.pool import acquired, transaction
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.service import Outcome
from mpanel_billing.webhooks import repository
from mpanel_billing.webhooks.inbox import show_event
from mpanel_billing.webhooks.service import retry_event

_PAGE = 100


async def replay_event(mirror: Mirror, event_id: str, *, by: Actor | None = None) -> Outcome:
    """Apply an event that failed or was ignored; ConflictError where it took effect already.

    ConflictError also where it was ignored so long ago that its payload has been pruned.
    """
    event = await show_event(mirror.pool, event_id)
    if event["payload"] is None:
        raise ConflictError(f"Event {event_id} is so old that its payload has been pruned.")
    async with transaction(mirror.pool) as conn:
        if not await repository.reopen_event(conn, event_id):
            raise ConflictError(
                f"Event {event_id} is {event['status']} already; nothing is left to do."
            )
        entry = await audit.begin(conn, by, "event.replay", Target("event", event_id))
    async with audit.settling(mirror.pool, entry):
        outcome = await retry_event(mirror, event_id)
        if outcome is None:
            raise ConflictError(f"Event {event_id} is being applied by another process just now.")
        entry.note(status=outcome.status)
    return outcome


async def replay_failed_events(
    mirror: Mirror, *, by: Actor | None = None
) -> AsyncIterator[tuple[str, Outcome | None]]:
    """Apply every event that is not done, once each; yields id and outcome as it goes.

    An outcome of None: another process was at it.
    """
    statuses: Counter[str] = Counter()
    async with audit.attempt(mirror.pool, by, "events.replay_failed") as entry:
        async for event_id, outcome in _replay_all(mirror):
            statuses[outcome.status if outcome else "busy"] += 1
            yield event_id, outcome
        entry.note(outcomes=dict(statuses))


async def _replay_all(mirror: Mirror) -> AsyncIterator[tuple[str, Outcome | None]]:
    after = ""
    while True:
        async with acquired(mirror.pool) as conn:
            page = await repository.list_failed_events(conn, after, _PAGE)
        for event_id in page:
            yield event_id, await retry_event(mirror, event_id)
        if len(page) < _PAGE:
            return
        after = page[-1]
