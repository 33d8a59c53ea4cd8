"""Making, listing and revoking keys."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import asyncpg

from mpanel_billing.access import audit, repository
from mpanel_billing.access.actor import Actor
from mpanel_billing.access.audit import Target
from mpanel_billing.access.key import MARK, hash_key, make_key
from mpanel_billing.access.scopes import Scope
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import ConflictError, InvalidRequestError, NotFoundError

_NAME = re.compile(rf"(?!{MARK})[0-9A-Za-z][0-9A-Za-z._-]{{0,62}}")


@dataclass(frozen=True, slots=True, repr=False)
class IssuedKey:
    """A new key: `text` is what its holder sends, and is kept nowhere."""

    id: str
    text: str
    expires_at: datetime | None


async def create_key(
    pool: Pool, by: Actor, *, name: str, scopes: Sequence[Scope], lifetime: timedelta | None = None
) -> IssuedKey:
    """Make a key; without a lifetime it is good until it is revoked.

    InvalidRequestError for a name that cannot be one, ConflictError for one that is taken.
    """
    if not _NAME.fullmatch(name):
        raise InvalidRequestError(
            f"{name!r} is no name for a key: up to 63 letters, digits, dots, dashes and"
            f" underscores, not beginning with {MARK}."
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
        )
        if row is None:
            raise ConflictError(
                f"There is a key {name} already; revoke it, or choose another name."
            )
        expires_at: datetime | None = row["expires_at"]
        until = expires_at.isoformat() if expires_at else None
        details = {"name": name, "scopes": scopes, "expiresAt": until}
        await audit.record(conn, by, "key.create", Target("key", key.id), details)
    return IssuedKey(key.id, key.text, expires_at)


async def list_keys(pool: Pool) -> Sequence[asyncpg.Record]:
    """Return all keys, oldest first: everything but the keys themselves."""
    async with acquired(pool) as conn:
        return await repository.list_keys(conn)


async def revoke_key(pool: Pool, by: Actor, named: str) -> str:
    """Revoke a key by its name or id, and return its id.

    It opens nothing from the next look-up on (`LOOK_UP_SECONDS` of the key ring). NotFoundError if
    there is none, ConflictError if it is revoked already.
    """
    async with transaction(pool) as conn:
        key = await repository.find_key(conn, named)
        if key is None:
            raise NotFoundError(f"There is no key {named}.")
        if not await repository.revoke_key(conn, key.id):
            raise ConflictError(f"The key {key.id} ({key.name}) is revoked already.")
        await audit.record(conn, by, "key.revoke", Target("key", key.id), {"name": key.name})
    return key.id
