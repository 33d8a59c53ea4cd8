"""Holds while the collection of a subscription is paused."""

from datetime import datetime
from uuid import UUID

from mpanel_billing.database.queries import Connection, load_queries

_pauses = load_queries("pauses")


async def place_pause(
    conn: Connection, subscription_id: UUID, since: datetime, until: datetime
) -> None:
    """Insert the hold of a pause, or give a standing one another end."""
    await _pauses.place_pause.execute(
        conn, subscription_id=subscription_id, since=since, until=until
    )


async def withdraw_pause(conn: Connection, subscription_id: UUID) -> None:
    """Delete a hold that has not begun."""
    await _pauses.withdraw_pause.execute(conn, subscription_id=subscription_id)


async def end_pause(conn: Connection, subscription_id: UUID, until: datetime) -> None:
    """End a hold that has not begun, or give it an earlier end."""
    await _pauses.end_pause.execute(conn, subscription_id=subscription_id, until=until)


async def turn_pauses(conn: Connection, most: int) -> list[UUID]:
    """Begin and end holds; return the subscriptions whose work that changes."""
    rows = await _pauses.turn_pauses.fetch(conn, most=most)
    return [row["subscription_id"] for row in rows]
