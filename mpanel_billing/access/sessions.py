"""Sessions of the console: a key is exchanged for one, and its scopes stay those of the key.

The browser has a random token in a cookie, we have its SHA-256. With each request the key is looked
up as it is now: once it is revoked, has expired or is no longer in the settings, the session is
over.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from mpanel_billing.access import audit, repository
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.access.key import hash_key
from mpanel_billing.access.keyring import Holder, KeyRing, UnknownKeyError
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.errors import NotFoundError

LIFETIME = timedelta(hours=12)
"""A working day: whoever comes back the next day signs in again."""


@dataclass(frozen=True, slots=True)
class Session:
    """A session that has not ended: who it is, and the holder of its key as it is now."""

    id: UUID
    person: str
    holder: Holder
    by_proxy: bool
    language: str | None
    time_zone: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who signs in; `time_zone` is the browser's, if it said one.

    `subject` is what an identity provider knows them by, for the audit log.
    """

    person: str
    time_zone: str | None = None
    by_proxy: bool = False
    subject: Mapping[str, str] | None = None


async def open_session(pool: Pool, holder: Holder, key: str | None, visitor: Visitor) -> str:
    """Begin a session and return its token, which is not stored.

    `key` is what was sent, or None if a proxy says who it is: then its holder is in the database.
    """
    token = secrets.token_urlsafe(32)
    proof = None if holder.key_id else _proof(token, hash_key(key or ""))
    async with transaction(pool) as conn:
        id_ = await repository.open_session(
            conn,
            token_hash=_hash(token),
            key_id=holder.key_id,
            key_proof=proof,
            key_name=holder.name,
            person=visitor.person,
            by_proxy=visitor.by_proxy,
            time_zone=visitor.time_zone,
            lifetime=LIFETIME,
        )
        by = Actor(holder.name, holder.key_id, person=visitor.person)
        await audit.record(conn, by, "console.sign_in", _target(id_), visitor.subject)
    return token


async def holder_of_key(pool: Pool, key_id: str) -> Holder:
    """Return the holder of a key in the database, by its id; UnknownKeyError if it is over."""
    async with acquired(pool) as conn:
        key = await repository.get_key(conn, key_id)
    if key is None or key.revoked or key.expired:
        raise UnknownKeyError(f"The key {key_id} is unknown, revoked or has expired.")
    return Holder(key.name, key_id, key.scopes, key.networks, key.counts_calls)


async def find_session(pool: Pool, ring: KeyRing, token: str) -> Session | None:
    """Return the session of a token; None if there is none, it has ended, or its key has."""
    async with acquired(pool) as conn:
        row = await repository.find_session(conn, _hash(token))
        holder = row and _holder_of(row, ring, token)
        if not row or not holder:
            return None
        if row["use_unknown"]:
            await repository.note_session_use(conn, row["id"])
            if holder.key_id:
                await repository.note_use(conn, holder.key_id)
    return Session(
        row["id"],
        row["person"],
        holder,
        row["by_proxy"],
        row["language"],
        row["time_zone"],
        row["expires_at"],
    )


async def subject_of(pool: Pool, token: str) -> Mapping[str, str] | None:
    """Return whose session it is, or was, as an identity provider knows them; None: none said so.

    It is what `Visitor.subject` was.
    """
    async with acquired(pool) as conn:
        return await repository.get_session_subject(conn, _hash(token))


def _holder_of(row: asyncpg.Record, ring: KeyRing, token: str) -> Holder | None:
    if proof := row["key_proof"]:
        return ring.find_configured(lambda one: hmac.compare_digest(_proof(token, one), proof))
    if row["key_is_over"]:
        return None
    limits: dict[str, Any] = {name: row[name] for name in ("networks", "counts_calls")}
    return Holder(row["key_name"], row["key_id"], frozenset(row["scopes"]), **limits)


async def end_session(pool: Pool, by: Actor, id_: UUID) -> None:
    """End a session, one's own or another's; NotFoundError if there is none."""
    async with transaction(pool) as conn:
        person = await repository.end_session(conn, id_)
        if person is None:
            raise NotFoundError("This session has ended.")
        await audit.record(conn, by, "console.sign_out", _target(id_), {"person": person})


async def set_preferences(
    pool: Pool, id_: UUID, *, language: str | None, time_zone: str | None
) -> None:
    """Set language and time zone of a session; None: what the browser asks for, and UTC."""
    async with acquired(pool) as conn:
        await repository.set_preferences(conn, id_, language=language, time_zone=time_zone)


async def list_sessions(pool: Pool) -> Sequence[asyncpg.Record]:
    """Return the sessions that have not ended, the latest use first."""
    async with acquired(pool) as conn:
        return await repository.list_sessions(conn)


def form_token(token: str) -> str:
    """Return what each form of a session has: another site cannot know it."""
    return hashlib.sha256(f"form {token}".encode()).hexdigest()[:32]


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()


def _proof(token: str, key_hash: bytes) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape") + key_hash).digest()


def _target(id_: UUID) -> Target:
    return Target("console_session", str(id_))
