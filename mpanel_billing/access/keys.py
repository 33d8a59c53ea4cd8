"""Creates, lists and revokes keys."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from mpanel_billing.access import audit, repository
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.access.key import PREFIX, Scope, hash_key, make_key
from mpanel_billing.access.repository import Limits
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError

YEAR = timedelta(days=365)
"""How long a key is valid unless something else is wanted: a forgotten one ends by itself."""

UNLIMITED = Limits()

_NAME = re.compile(rf"(?!{PREFIX})[0-9A-Za-z][0-9A-Za-z._-]{{0,62}}")


@dataclass(frozen=True, slots=True, repr=False)
class IssuedKey:
    """A new key; `text` is what its holder sends, and is not stored."""

    id: str
    text: str
    expires_at: datetime | None


async def create_key(
    pool: Pool,
    by: Actor,
    *,
    name: str,
    scopes: Sequence[Scope],
    lifetime: timedelta | None = YEAR,
    limits: Limits = UNLIMITED,
) -> IssuedKey:
    """Create a key; with None as its lifetime it is valid until it is revoked.

    InvalidRequestError for an invalid name, ConflictError for one in use.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            f"{name!r} is not a valid name for a key: use up to 63 letters, digits, dots, dashes"
            f" and underscores, not starting with {PREFIX}."
        )
    key = make_key()
    async with transaction(pool) as conn:
        row = await repository.insert_key(
            conn,
            id_=key.id,
            name=name,
            key_hash=hash_key(key.text),
            scopes=scopes,
            created_by=by.name,
            lifetime=lifetime,
            limits=limits,
        )
        if row is None:
            raise ConflictError(
                f"A key named {name} exists already; revoke it or choose another name."
            )
        expires_at: datetime | None = row["expires_at"]
        until = expires_at.isoformat() if expires_at else None
        details = {"name": name, "scopes": scopes, "expiresAt": until, **_described(limits)}
        await audit.record(conn, by, "key.create", Target("key", key.id), details)
    return IssuedKey(key.id, key.text, expires_at)


def _described(limits: Limits) -> dict[str, object]:
    """Return the limits that are set, for the audit log."""
    given = {
        "networks": limits.networks and [str(network) for network in limits.networks],
        "callsPerMinute": limits.calls_per_minute,
        "refundsPerDay": limits.refunds_per_day,
    }
    return {name: value for name, value in given.items() if value is not None}


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
        key = await repository.find_key(conn, named)
        if key is None:
            raise NotFoundError(f"Key {named} not found.")
        if not await repository.revoke_key(conn, key.id):
            raise ConflictError(f"Key {key.id} ({key.name}) is already revoked.")
        await audit.record(conn, by, "key.revoke", Target("key", key.id), {"name": key.name})
    return key.id
