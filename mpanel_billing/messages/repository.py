"""The rows of messages, receivers and deliveries."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.messages.attempts import Response

_queries = load_queries("messages")

_ADDRESSING = "billing_messages"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which deliveries to repeat; None: all.

    Times are when the transition was recorded, `until` excluded. `receiver` is a name: it gets what
    it was not sent before, too.
    """

    message_id: str | None = None
    receiver: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    only_given_up: bool = False


# Receivers.


async def insert_receiver(
    conn: Connection,
    *,
    name: str,
    url: str,
    livemode: bool,
    types: Sequence[str],
    secret: str,
    created_by: str,
) -> bool:
    """Add a receiver; False if there is one of that name."""
    added = await _queries.insert_receiver.fetch_value(
        conn,
        name=name,
        url=url,
        livemode=livemode,
        types=types,
        secret=secret,
        created_by=created_by,
    )
    return bool(added)


async def list_receivers(conn: Connection) -> Sequence[asyncpg.Record]:
    """Return all receivers by name, without secrets, with the number of deliveries that wait."""
    return await _queries.list_receivers.fetch(conn)


async def change_receiver(
    conn: Connection, name: str, *, url: str | None, types: Sequence[str] | None
) -> bool:
    """Change what is given; False if there is no such receiver."""
    return bool(await _queries.change_receiver.fetch_value(conn, name=name, url=url, types=types))


async def roll_secret(conn: Connection, name: str, secret: str, hours: int) -> bool:
    """Replace the secret; False if there is no such receiver."""
    return bool(await _queries.roll_secret.fetch_value(conn, name=name, secret=secret, hours=hours))


async def disable_receiver(conn: Connection, name: str, reason: str, *, by_operator: bool) -> bool:
    """Hold back its messages; False if it is disabled, or unknown."""
    disabled = await _queries.disable_receiver.fetch_value(
        conn, name=name, reason=reason, by_operator=by_operator
    )
    return bool(disabled)


async def enable_receiver(conn: Connection, name: str) -> bool:
    """Send what was held back; False if it is enabled, or unknown."""
    return bool(await _queries.enable_receiver.fetch_value(conn, name=name))


async def delete_receiver(conn: Connection, name: str) -> bool:
    """Delete a receiver and its deliveries; False if there is none."""
    return bool(await _queries.delete_receiver.fetch_value(conn, name=name))


async def has_receiver(conn: Connection, name: str) -> bool:
    """Return whether there is a receiver of that name."""
    return bool(await _queries.has_receiver.fetch_value(conn, name=name))


# Sending.


async def record_trial_endings(conn: Connection, days: int) -> None:
    """Record the trials that end within so many days."""
    await _queries.record_trial_endings.fetch_value(conn, days=days)


async def record_expiring_cards(conn: Connection, days: int) -> None:
    """Record the cards that expire within so many days, of subscriptions that go on."""
    await _queries.record_expiring_cards.fetch_value(conn, days=days)


async def address_messages(conn: Connection, most: int) -> int:
    """Give new messages their numbers and deliveries, and return how many there were.

    Has to be in a transaction. 0 while another process does it.
    """
    if not await _queries.lock_addressing.fetch_value(conn, key=_ADDRESSING):
        return 0
    addressed: int = await _queries.address_messages.fetch_value(conn, most=most)
    return addressed


async def list_due_receivers(conn: Connection) -> dict[UUID, float]:
    """Return in how many seconds each receiver has something to be sent; not above 0: now."""
    rows = await _queries.list_due_receivers.fetch(conn)
    return {row["id"]: row["seconds"] for row in rows}


async def claim_deliveries(
    conn: Connection, receiver_id: UUID, most: int, lease_seconds: float
) -> Sequence[asyncpg.Record]:
    """Take what is due, with all that a message says, and where it goes."""
    return await _queries.claim_deliveries.fetch(
        conn, receiver_id=receiver_id, most=most, lease_seconds=lease_seconds
    )


async def note_delivered(
    conn: Connection, receiver_id: UUID, message_id: str, status: int | None
) -> None:
    """Record that it was accepted."""
    await _queries.note_delivered.execute(
        conn, receiver_id=receiver_id, message_id=message_id, status=status
    )


async def note_failed(
    conn: Connection,
    receiver_id: UUID,
    message_id: str,
    response: Response,
    retry_seconds: float | None,
) -> datetime | None:
    """Record a failure; without another attempt, that it is given up.

    Return since when the receiver has failed; None if it is gone.
    """
    since: datetime | None = await _queries.note_failed.fetch_value(
        conn,
        receiver_id=receiver_id,
        message_id=message_id,
        status=response.status,
        error=response.error,
        retry_seconds=retry_seconds,
    )
    return since


# What operators look at.


async def list_deliveries(
    conn: Connection,
    *,
    state: str | None,
    receiver: str | None,
    subscription_id: UUID | None,
    most: int,
) -> Sequence[asyncpg.Record]:
    """Return deliveries, the latest message first."""
    return await _queries.list_deliveries.fetch(
        conn, state=state, receiver=receiver, subscription_id=subscription_id, most=most
    )


async def get_message(conn: Connection, id_: str) -> asyncpg.Record | None:
    """Return a message, or None."""
    return await _queries.get_message.fetch_one(conn, id=id_)


async def list_deliveries_of(conn: Connection, id_: str) -> Sequence[asyncpg.Record]:
    """Return the deliveries of a message by receiver."""
    return await _queries.list_deliveries_of.fetch(conn, id=id_)


async def dismiss(conn: Connection, id_: str, receiver: str | None) -> int:
    """Delete the deliveries of a message that were given up, and return how many."""
    count: int = await _queries.dismiss.fetch_value(conn, id=id_, receiver=receiver)
    return count


async def resend(conn: Connection, chosen: Selection) -> int:
    """Request what is chosen again, and return how many deliveries that are."""
    count: int = await _queries.resend.fetch_value(
        conn,
        id=chosen.message_id,
        receiver=chosen.receiver,
        since=chosen.since,
        until=chosen.until,
        only_given_up=chosen.only_given_up,
    )
    return count
