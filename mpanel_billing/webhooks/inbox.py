"""Look into the inbox: for the command line and the operator's routes."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, get_args

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import NotFoundError
from mpanel_billing.webhooks import repository

Status = Literal["received", "applied", "stale", "ignored", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)


async def list_events(pool: Pool, status: str | None, most: int) -> Sequence[Mapping[str, Any]]:
    """Return the newest events, of one status or of all, without their payloads."""
    async with acquired(pool) as conn:
        return [dict(row) for row in await repository.list_events(conn, status, most)]


async def show_event(pool: Pool, event_id: str) -> Mapping[str, Any]:
    """Return all of one event, its payload and its last error included; or NotFoundError."""
    async with acquired(pool) as conn:
        event = await repository.get_event(conn, event_id)
    if event is None:
        raise NotFoundError(f"There is no event {event_id} in the inbox.")
    return dict(event)
