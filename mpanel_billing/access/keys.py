"""Creates, lists, rolls and revokes keys."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import asyncpg

from mpanel_billing.access import audit, repository
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.access.giving import require_givable
from mpanel_billing.access.key import PREFIX, Limits, NewKey, Scope, hash_key, make_key
from mpanel_billing.access.keyring import Holder
from mpanel_billing.access.repository import NamedKey
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError

YEAR = timedelta(days=365)
"""How long a key is valid unless something else is wanted: a forgotten one ends by itself."""

UNLIMITED = Limits()

LONGEST_DAYS = 3650
"""How long a key may be valid that expires at all."""
LONGEST_OVERLAP = timedelta(days=30)

_NAME = re.compile(rf"(?!{PREFIX})[0-9A-Za-z][0-9A-Za-z._-]{{0,62}}")


@dataclass(frozen=True, slots=True, repr=False)
class IssuedKey:
    """A new key; `text` is what its holder sends, and is not stored."""

    id: str
    text: str
    expires_at: datetime | None


@dataclass(frozen=True, slots=True, repr=False)
class RolledKey:
    """A new key that replaces another one, which works until `until`."""

    new: IssuedKey
    name: str
    old_id: str
    until: datetime


async def create_key(
    pool: Pool,
    by: Actor,
    *,
    name: str,
    scopes: Sequence[Scope],
    lifetime: timedelta | None = YEAR,
    limits: Limits = UNLIMITED,
    giver: Holder | None = None,
) -> IssuedKey:
    """Create a key; with None as its lifetime it is valid until it is revoked.

    `giver` is who gives it, if that is a key itself: WiderKeyError if it would be the wider one.
    InvalidRequestError for an invalid name, ConflictError for one in use.
    """
    _require_name(name)
    async with transaction(pool) as conn:
        await require_givable(conn, giver, scopes, limits)
        terms = _Terms(name, scopes, lifetime, limits)
        issued = await _insert(conn, by, make_key(), terms)
        details = _described(terms, issued.expires_at)
        await audit.record(conn, by, "key.create", Target("key", issued.id), details)
    return issued


async def check_new_key(
    pool: Pool, *, name: str, scopes: Sequence[Scope], limits: Limits, giver: Holder | None
) -> None:
    """Raise what `create_key` would raise."""
    _require_name(name)
    async with acquired(pool) as conn:
        await require_givable(conn, giver, scopes, limits)
        if await repository.find_key(conn, name):
            raise _taken(name)


def _require_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            f"{name!r} is not a valid name for a key: use up to 63 letters, digits, dots, dashes"
            f" and underscores, not starting with {PREFIX}."
        )


def _taken(name: str) -> ConflictError:
    return ConflictError(f"A key named {name} exists already; revoke it or choose another name.")


async def roll_key(
    pool: Pool, by: Actor, named: str, *, overlap: timedelta, giver: Holder | None = None
) -> RolledKey:
    """Replace a key by a new one: same name, scopes and limits, valid for as long again.

    The old one works for the overlap, so that its holder can change over. NotFoundError if there is
    none, ConflictError if it is over or replaced, InvalidRequestError for an overlap that is too
    long, and WiderKeyError as in `create_key`.
    """
    if not timedelta() <= overlap <= LONGEST_OVERLAP:
        raise InvalidRequestError(
            f"The old key may work for at most {LONGEST_OVERLAP.days} days more."
        )
    async with transaction(pool) as conn:
        old = await find_rollable(conn, named, giver)
        new = make_key()
        until = await repository.replace_key(conn, old.id, replaced_by=new.id, overlap=overlap)
        if until is None:
            raise ConflictError(f"Key {old.id} ({old.name}) has just been rolled or revoked.")
        terms = _Terms(old.name, old.scopes, old.lifetime, old.limits)
        issued = await _insert(conn, by, new, terms)
        replaced = {"replaces": old.id, "oldUntil": until.isoformat()}
        details = {**_described(terms, issued.expires_at), **replaced}
        await audit.record(conn, by, "key.roll", Target("key", issued.id), details)
    return RolledKey(issued, old.name, old.id, until)


async def may_give(pool: Pool) -> bool:
    """Return whether the role of this process may make, roll and revoke keys."""
    async with acquired(pool) as conn:
        return await repository.may_give(conn)


async def find_rollable(conn: Connection, named: str, giver: Holder | None) -> NamedKey:
    """Return a key that can be replaced by one like it; errors as those of `roll_key`."""
    key = await _find(conn, named)
    if key.replaced_by:
        raise ConflictError(f"Key {key.id} ({key.name}) was rolled: {key.replaced_by} is in use.")
    if key.revoked or key.expired:
        state = "revoked" if key.revoked else "expired"
        raise ConflictError(f"Key {key.id} ({key.name}) is {state}; create another one.")
    await require_givable(conn, giver, key.scopes, key.limits)
    return key


async def get_key_to_roll(pool: Pool, named: str, giver: Holder | None) -> NamedKey:
    """Return what `roll_key` would replace; errors as its."""
    async with acquired(pool) as conn:
        return await find_rollable(conn, named, giver)


class _Terms(NamedTuple):
    """What a key is named, may do, and for how long."""

    name: str
    scopes: Sequence[Scope]
    lifetime: timedelta | None
    limits: Limits


async def _insert(conn: Connection, by: Actor, key: NewKey, terms: _Terms) -> IssuedKey:
    row = await repository.insert_key(
        conn,
        id_=key.id,
        name=terms.name,
        key_hash=hash_key(key.text),
        scopes=terms.scopes,
        created_by=by.person or by.name,
        lifetime=terms.lifetime,
        limits=terms.limits,
    )
    if row is None:
        raise _taken(terms.name)
    return IssuedKey(key.id, key.text, row["expires_at"])


def _described(terms: _Terms, expires_at: datetime | None) -> dict[str, object]:
    """Return a key for the audit log; limits only if there are any."""
    limits = terms.limits
    given = {
        "networks": limits.networks and [str(network) for network in limits.networks],
        "callsPerMinute": limits.calls_per_minute,
        "refundsPerDay": limits.refunds_per_day,
    }
    return {
        "name": terms.name,
        "scopes": terms.scopes,
        "expiresAt": expires_at.isoformat() if expires_at else None,
        **{name: value for name, value in given.items() if value is not None},
    }


async def list_keys(pool: Pool) -> Sequence[asyncpg.Record]:
    """Return all keys, oldest first, without their hashes."""
    async with acquired(pool) as conn:
        return await repository.list_keys(conn)


async def revoke_key(pool: Pool, by: Actor, named: str) -> str:
    """Revoke a key by its name or id, and return its id.

    Processes accept it for up to `LOOK_UP_SECONDS` more. NotFoundError if there is none,
    ConflictError if it was revoked before.
    """
    async with transaction(pool) as conn:
        key = await _find(conn, named)
        if not await repository.revoke_key(conn, key.id):
            raise ConflictError(f"Key {key.id} ({key.name}) is already revoked.")
        await audit.record(conn, by, "key.revoke", Target("key", key.id), {"name": key.name})
    return key.id


async def _find(conn: Connection, named: str) -> NamedKey:
    key = await repository.find_key(conn, named)
    if key is None:
        raise NotFoundError(f"Key {named} not found.")
    return key
