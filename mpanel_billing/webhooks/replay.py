"""Apply kept events again, when a person asks for it."""

from collections.abc import AsyncIterator

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.service import Outcome
from mpanel_billing.webhooks import repository
from mpanel_billing.webhooks.inbox import show_event
from mpanel_billing.webhooks.service import retry_event

_PAGE = 100


async def replay_event(pool: Pool, event_id: str, *, livemode: bool) -> Outcome:
    """Apply an event that failed or was ignored; ConflictError where it took effect already."""
    event = await show_event(pool, event_id)
    async with acquired(pool) as conn:
        reopened = await repository.reopen_event(conn, event_id)
    if not reopened:
        raise ConflictError(
            f"Event {event_id} is {event['status']} already; nothing is left to do."
        )
    outcome = await retry_event(pool, event_id, livemode=livemode)
    if outcome is None:
        raise ConflictError(f"Event {event_id} is being applied by another process just now.")
    return outcome


async def replay_failed_events(
    pool: Pool, *, livemode: bool
) -> AsyncIterator[tuple[str, Outcome | None]]:
    """Apply every event that is not done, once each; yields id and outcome as it goes."""
    after = ""
    while True:
        async with acquired(pool) as conn:
            page = await repository.list_failed_events(conn, after, _PAGE)
        for event_id in page:
            yield event_id, await retry_event(pool, event_id, livemode=livemode)
        if len(page) < _PAGE:
            return
        after = page[-1]
