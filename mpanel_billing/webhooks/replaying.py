"""Apply kept events again because a person asks: one, or all that failed or were ignored."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import asyncpg

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import ConflictError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.service import Outcome
from mpanel_billing.webhooks import repository
from mpanel_billing.webhooks.event import Position, Selection
from mpanel_billing.webhooks.inbox import retry_event, show_event
from mpanel_billing.webhooks.repository import ListEvents

BUSY = "busy"
"""What becomes of an event that another process is applying."""
BEGINNING: Position = (datetime.min.replace(tzinfo=UTC), "")
"""Where pages of events begin: before the first."""

_PAGE = 100
_EVERYTHING = Selection()


async def replay_event(mirror: Mirror, event_id: str, *, by: Actor | None = None) -> Outcome:
    """Apply an event that failed or was ignored.

    ConflictError if it took effect before, or its payload has been pruned.
    """
    event = await show_event(mirror.pool, event_id)
    if event["payload"] is None:
        raise ConflictError(f"The payload of event {event_id} has been pruned.")
    async with transaction(mirror.pool) as conn:
        if not await repository.reopen_event(conn, event_id):
            raise ConflictError(f"Event {event_id} is already {event['status']}.")
        entry = await audit.begin(conn, by, "event.replay", Target("event", event_id))
    async with audit.settling(mirror.pool, entry):
        outcome = await retry_event(mirror, event_id)
        if outcome is None:
            raise ConflictError(f"Another process is applying event {event_id}.")
        entry.note(status=outcome.status)
    return outcome


async def list_failed_types(
    pool: Pool, selection: Selection = _EVERYTHING, most: int = _PAGE
) -> Sequence[asyncpg.Record]:
    """Return what `replay_failed_events` would go through, by type: how many, since when, why."""
    async with acquired(pool) as conn:
        return await repository.list_unfinished_types(conn, selection, most)


async def replay_failed_events(
    mirror: Mirror, selection: Selection = _EVERYTHING, *, by: Actor | None = None
) -> AsyncIterator[tuple[str, Outcome | None]]:
    """Apply the unfinished events once, oldest first; yields the id and outcome of each.

    The outcome is None if another process was applying the event.
    """
    async with audit.attempt(
        mirror.pool, by, "events.replay_failed", details=asdict(selection)
    ) as entry:
        events = _list_pages(mirror.pool, repository.list_unfinished_events, selection)
        async for replayed in _counted(entry, _replay_all(mirror, events)):
            yield replayed


class ReplayedPage(NamedTuple):
    """What became of some events, and after which one to go on; None: all have been tried."""

    outcomes: Counter[str]
    after: Position | None


class ReplayPage(Protocol):
    """Applies some events again; see `replay_failed_page`."""

    async def __call__(
        self,
        mirror: Mirror,
        selection: Selection,
        after: Position,
        most: int,
        *,
        by: Actor | None = None,
    ) -> ReplayedPage:
        """Apply the oldest `most` after one."""


async def replay_failed_page(
    mirror: Mirror, selection: Selection, after: Position, most: int, *, by: Actor | None = None
) -> ReplayedPage:
    """Apply the oldest `most` unfinished events after one; from BEGINNING on they are all.

    Nothing of it is kept: a page that is asked for twice tries again only what failed.
    """
    async with acquired(mirror.pool) as conn:
        found = await repository.list_unfinished_events(conn, selection, after, most + 1)
    events = _ids_of(found[:most])
    details = {**asdict(selection), "after": after[1]}
    async with audit.attempt(mirror.pool, by, "events.replay_failed", details=details) as entry:
        outcomes = await _count(entry, _replay_all(mirror, events))
    return ReplayedPage(outcomes, _next(found, most))


async def replay_ignored_page(
    mirror: Mirror, selection: Selection, after: Position, most: int, *, by: Actor | None = None
) -> ReplayedPage:
    """Do as `replay_failed_page` with ignored events, as `replay_ignored_events` has them."""
    async with acquired(mirror.pool) as conn:
        found = await repository.list_ignored_events(conn, selection, after, most + 1)
    events = _reopened(mirror.pool, _ids_of(found[:most]))
    details = {**asdict(selection), "after": after[1]}
    async with audit.attempt(mirror.pool, by, "events.replay_ignored", details=details) as entry:
        outcomes = await _count(entry, _replay_all(mirror, events))
    return ReplayedPage(outcomes, _next(found, most))


async def position_of(pool: Pool, event_id: str | None) -> Position:
    """Return where the events after one begin; None: all of them. NotFoundError."""
    if event_id is None:
        return BEGINNING
    event = await show_event(pool, event_id)
    return (event["received_at"], event_id)


def _next(found: Sequence[Position], most: int) -> Position | None:
    return found[most - 1] if len(found) > most else None


async def _ids_of(page: Sequence[Position]) -> AsyncIterator[str]:
    for _, event_id in page:
        yield event_id


async def _count(
    entry: audit.Entry, replayed: AsyncIterator[tuple[str, Outcome | None]]
) -> Counter[str]:
    return Counter([_word(outcome) async for _, outcome in _counted(entry, replayed)])


async def count_failed(
    pool: Pool, selection: Selection = _EVERYTHING, after: Position = BEGINNING
) -> int:
    """Return how many events `replay_failed_events` would go through, or are left after one."""
    async with acquired(pool) as conn:
        return await repository.count_unfinished_events(conn, selection, after)


async def list_ignored_types(
    pool: Pool, selection: Selection = _EVERYTHING, most: int = _PAGE
) -> Sequence[asyncpg.Record]:
    """Return what `replay_ignored_events` would go through, by type, as `list_failed_types`."""
    async with acquired(pool) as conn:
        return await repository.list_ignored_types(conn, selection, most)


async def count_ignored(
    pool: Pool, selection: Selection = _EVERYTHING, after: Position = BEGINNING
) -> int:
    """Return how many events `replay_ignored_events` would go through, or are left after one."""
    async with acquired(pool) as conn:
        return await repository.count_ignored_events(conn, selection, after)


def _word(outcome: Outcome | None) -> str:
    """Return what became of an event; `busy`: another process was applying it."""
    return outcome.status if outcome else BUSY


async def replay_ignored_events(
    mirror: Mirror, selection: Selection, *, by: Actor | None = None
) -> AsyncIterator[tuple[str, Outcome | None]]:
    """Apply events that were ignored, as of a type that is mirrored since an upgrade.

    Yields what `replay_failed_events` does. Events without a payload, which is pruned by age, stay.
    """
    async with audit.attempt(
        mirror.pool, by, "events.replay_ignored", details=asdict(selection)
    ) as entry:
        events = _list_pages(mirror.pool, repository.list_ignored_events, selection)
        async for replayed in _counted(entry, _replay_all(mirror, _reopened(mirror.pool, events))):
            yield replayed


async def _counted(
    entry: audit.Entry, replayed: AsyncIterator[tuple[str, Outcome | None]]
) -> AsyncIterator[tuple[str, Outcome | None]]:
    statuses: Counter[str] = Counter()
    async for event_id, outcome in replayed:
        statuses[_word(outcome)] += 1
        yield event_id, outcome
    entry.note(outcomes=dict(statuses))


async def _replay_all(
    mirror: Mirror, event_ids: AsyncIterator[str]
) -> AsyncIterator[tuple[str, Outcome | None]]:
    async for event_id in event_ids:
        yield event_id, await retry_event(mirror, event_id)


async def _reopened(pool: Pool, event_ids: AsyncIterator[str]) -> AsyncIterator[str]:
    async for event_id in event_ids:
        async with acquired(pool) as conn:
            reopened = await repository.reopen_event(conn, event_id)
        if reopened:
            yield event_id


async def _list_pages(
    pool: Pool, list_page: ListEvents, selection: Selection
) -> AsyncIterator[str]:
    """Yield the ids of the selected events, oldest first."""
    after = BEGINNING
    while True:
        async with acquired(pool) as conn:
            page = await list_page(conn, selection, after, _PAGE)
        for _, event_id in page:
            yield event_id
        if len(page) < _PAGE:
            return
        after = page[-1]
