"""Adds and changes receivers, and repeats deliveries; each change is in the audit log."""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from uuid import UUID

import asyncpg
from yarl import URL

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError
from mpanel_billing.messages import repository
from mpanel_billing.messages.repository import Selection
from mpanel_billing.messages.signing import make_secret
from mpanel_billing.messages.types import read_types

STATES = ("waiting", "delivered", "given_up")
"""The states of a delivery."""

OVERLAP_HOURS = 24
"""How long messages are signed with the former secret too, after a roll."""

TRIAL_NOTICE_DAYS = 3
"""How long before its end a trial is announced, as Stripe does it."""

CARD_NOTICE_DAYS = 30
"""How long before a card expires mPanel is told; docs/messages.md says it."""

_NAME = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,62}")


async def add(
    pool: Pool, by: Actor, *, name: str, url: str, types: Sequence[str], livemode: bool
) -> str:
    """Add a receiver and return its secret, which is not shown again.

    InvalidRequestError for a name, an address or a type that is not valid, ConflictError for a name
    in use.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            f"{name!r} is not a valid name for a receiver: use up to 63 letters, digits, dots,"
            " dashes and underscores."
        )
    address, wanted, secret = read_url(url), read_types(types), make_secret()
    async with transaction(pool) as conn:
        added = await repository.insert_receiver(
            conn,
            name=name,
            url=address,
            livemode=livemode,
            types=wanted,
            secret=secret,
            created_by=by.name,
        )
        if not added:
            raise ConflictError(f"There is a receiver {name} already; choose another name.")
        await _record(conn, by, "add", name, url=address, types=wanted)
    return secret


def read_url(text: str) -> str:
    """Return an address for messages: https, or http on this machine; InvalidRequestError."""
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host or url.user or url.fragment:
        raise InvalidRequestError(
            f"{text!r} is not an address like https://panel.example.com/webhooks/billing."
        )
    if url.scheme == "http" and not _is_local(url.host):
        raise InvalidRequestError(
            f"{text!r} is not encrypted: messages have names and addresses in them. Use https."
        )
    return str(url)


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def list_all(pool: Pool) -> Sequence[asyncpg.Record]:
    """Return all receivers by name, without their secrets."""
    async with acquired(pool) as conn:
        return await repository.list_receivers(conn)


async def change(
    pool: Pool, by: Actor, name: str, *, url: str | None, types: Sequence[str] | None
) -> None:
    """Change address or types; InvalidRequestError, NotFoundError."""
    address = url and read_url(url)
    wanted = read_types(types) if types else None
    async with transaction(pool) as conn:
        if not await repository.change_receiver(conn, name, url=address, types=wanted):
            raise _unknown(name)
        await _record(conn, by, "change", name, url=address, types=wanted)


async def roll_secret(pool: Pool, by: Actor, name: str, *, hours: int = OVERLAP_HOURS) -> str:
    """Replace the secret and return the new one; NotFoundError.

    For `hours` messages carry the signatures of both.
    """
    secret = make_secret()
    async with transaction(pool) as conn:
        if not await repository.roll_secret(conn, name, secret, hours):
            raise _unknown(name)
        await _record(conn, by, "roll_secret", name, hours=hours)
    return secret


async def disable(pool: Pool, by: Actor, name: str) -> None:
    """Send it nothing until it is enabled; NotFoundError, ConflictError if it is disabled."""
    async with transaction(pool) as conn:
        reason = f"by {by.name}"
        if not await repository.disable_receiver(conn, name, reason, by_operator=True):
            await _refuse(conn, name, f"Receiver {name} is disabled already.")
        await _record(conn, by, "disable", name)


async def enable(pool: Pool, by: Actor, name: str) -> None:
    """Send it what has waited, and what comes; NotFoundError, ConflictError if it is enabled."""
    async with transaction(pool) as conn:
        if not await repository.enable_receiver(conn, name):
            await _refuse(conn, name, f"Receiver {name} is enabled already.")
        await _record(conn, by, "enable", name)


async def remove(pool: Pool, by: Actor, name: str) -> None:
    """Delete a receiver and its deliveries; NotFoundError."""
    async with transaction(pool) as conn:
        if not await repository.delete_receiver(conn, name):
            raise _unknown(name)
        await _record(conn, by, "remove", name)


async def list_deliveries(
    pool: Pool,
    *,
    state: str | None = None,
    receiver: str | None = None,
    subscription_id: UUID | None = None,
    most: int = 50,
) -> Sequence[asyncpg.Record]:
    """Return deliveries, the latest message first."""
    async with acquired(pool) as conn:
        return await repository.list_deliveries(
            conn, state=state, receiver=receiver, subscription_id=subscription_id, most=most
        )


async def show_message(pool: Pool, id_: str) -> tuple[asyncpg.Record, Sequence[asyncpg.Record]]:
    """Return a message as it was recorded, and its deliveries; NotFoundError."""
    async with acquired(pool) as conn:
        message = await repository.get_message(conn, id_)
        if message is None:
            raise NotFoundError(f"There is no message {id_}.")
        return message, await repository.list_deliveries_of(conn, id_)


async def resend(pool: Pool, by: Actor, chosen: Selection) -> int:
    """Send again what is chosen, under the same ids; return how many deliveries that are.

    NotFoundError for an unknown receiver or message.
    """
    async with transaction(pool) as conn:
        if chosen.receiver and not await repository.has_receiver(conn, chosen.receiver):
            raise _unknown(chosen.receiver)
        if chosen.message_id and not await repository.get_message(conn, chosen.message_id):
            raise NotFoundError(f"There is no message {chosen.message_id}.")
        count = await repository.resend(conn, chosen)
        details = {
            "message": chosen.message_id,
            "receiver": chosen.receiver,
            "since": chosen.since and chosen.since.isoformat(),
            "until": chosen.until and chosen.until.isoformat(),
            "onlyGivenUp": chosen.only_given_up,
            "deliveries": count,
        }
        await audit.record(conn, by, "delivery.resend", None, details)
    return count


async def resend_given_up(pool: Pool, by: Actor, message_id: str) -> int:
    """Send a message again to those for whom it was given up; NotFoundError."""
    return await resend(pool, by, Selection(message_id, only_given_up=True))


async def dismiss(pool: Pool, by: Actor, message_id: str, receiver: str | None) -> int:
    """Leave a message that was given up unsent, and return for how many receivers.

    NotFoundError if it was not given up for any.
    """
    async with transaction(pool) as conn:
        count = await repository.dismiss(conn, message_id, receiver)
        if not count:
            raise NotFoundError(f"Message {message_id} was not given up.")
        details = {"receiver": receiver, "deliveries": count}
        await audit.record(conn, by, "delivery.dismiss", Target("message", message_id), details)
    return count


async def record_trial_endings(pool: Pool) -> None:
    """Record the trials that end within TRIAL_NOTICE_DAYS, once each."""
    async with acquired(pool) as conn:
        await repository.record_trial_endings(conn, TRIAL_NOTICE_DAYS)


async def record_expiring_cards(pool: Pool) -> None:
    """Record the cards that expire within CARD_NOTICE_DAYS, once each."""
    async with acquired(pool) as conn:
        await repository.record_expiring_cards(conn, CARD_NOTICE_DAYS)


async def _record(conn: Connection, by: Actor, action: str, name: str, **details: object) -> None:
    given = {key: value for key, value in details.items() if value is not None}
    await audit.record(conn, by, f"receiver.{action}", Target("receiver", name), given)


async def _refuse(conn: Connection, name: str, conflict: str) -> None:
    if not await repository.has_receiver(conn, name):
        raise _unknown(name)
    raise ConflictError(conflict)


def _unknown(name: str) -> NotFoundError:
    return NotFoundError(f"There is no receiver {name}; `mpanel-billing receivers list` shows all.")
