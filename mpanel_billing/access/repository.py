"""The rows of keys, of sessions of the console and of the audit log."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from mpanel_billing.access.key import SCOPES, Limits, Network, Scope
from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("api_keys")
_audit = load_queries("audit")
_sessions = load_queries("console_sessions")


@dataclass(frozen=True, slots=True)
class Spent:
    """Whether an amount was counted; the key's ceiling, and seconds until the next window."""

    spent: bool
    ceiling: int | None
    retry_after: int


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A stored key; `use_unknown` is true if no use of the last minute is on record.

    `counts_calls`: it has a ceiling of calls.
    """

    name: str
    key_hash: bytes
    scopes: frozenset[str]
    networks: Sequence[Network] | None
    counts_calls: bool
    revoked: bool
    expired: bool
    use_unknown: bool


@dataclass(frozen=True, slots=True)
class NamedKey:
    """The key found by a name or an id; `lifetime` is what it was made for, None without an end."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    limits: Limits
    lifetime: timedelta | None
    revoked: bool
    expired: bool
    replaced_by: str | None


async def insert_key(
    conn: Connection,
    *,
    id_: str,
    name: str,
    key_hash: bytes,
    scopes: Sequence[Scope],
    created_by: str,
    lifetime: timedelta | None,
    limits: Limits,
) -> asyncpg.Record | None:
    """Store a key and return its row (expires_at); None if a valid key has the name."""
    return await _queries.insert_key.fetch_one(
        conn,
        id=id_,
        name=name,
        key_hash=key_hash,
        scopes=scopes,
        created_by=created_by,
        lifetime=lifetime,
        **asdict(limits),
    )


async def get_key(conn: Connection, key_id: str) -> StoredKey | None:
    """Return a key by its id."""
    row = await _queries.get_key.fetch_one(conn, id=key_id)
    return StoredKey(**{**row, "scopes": frozenset(row["scopes"])}) if row else None


async def note_use(conn: Connection, key_id: str) -> None:
    """Record that a key is in use, at most once a minute."""
    await _queries.note_use.execute(conn, id=key_id)


async def spend(conn: Connection, key_id: str, measure: str, amount: int) -> Spent | None:
    """Count an amount against a key's ceiling, unless it exceeds it; None for an unknown key."""
    row = await _queries.spend.fetch_one(conn, key_id=key_id, measure=measure, amount=amount)
    return Spent(**row) if row else None


async def give_back(conn: Connection, key_id: str, measure: str, amount: int) -> None:
    """Take an amount of today off what a key has used."""
    await _queries.give_back.execute(conn, key_id=key_id, measure=measure, amount=amount)


async def list_keys(conn: Connection) -> Sequence[asyncpg.Record]:
    """Return all keys, oldest first, without their hashes."""
    return await _queries.list_keys.fetch(conn)


async def find_key(conn: Connection, named: str) -> NamedKey | None:
    """Return the key with that id, or the valid key with that name."""
    row = await _queries.find_key.fetch_one(conn, named=named)
    if row is None:
        return None
    scopes = tuple(scope for scope in SCOPES if scope in row["scopes"])
    rest = ("id", "name", "lifetime", "revoked", "expired", "replaced_by")
    return NamedKey(**{name: row[name] for name in rest}, scopes=scopes, limits=_limits_of(row))


async def may_give(conn: Connection) -> bool:
    """Return whether the role of this connection may make keys."""
    return bool(await _queries.may_give.fetch_value(conn))


async def get_limits(conn: Connection, key_id: str) -> Limits | None:
    """Return what a key is limited to; None for an unknown one."""
    row = await _queries.get_limits.fetch_one(conn, id=key_id)
    return _limits_of(row) if row else None


def _limits_of(row: asyncpg.Record) -> Limits:
    networks = row["networks"]
    return Limits(networks and tuple(networks), row["calls_per_minute"], row["refunds_per_day"])


async def replace_key(
    conn: Connection, key_id: str, *, replaced_by: str, overlap: timedelta
) -> datetime | None:
    """Let a key run out that another one replaces; return when it ends, None if it has ended."""
    until: datetime | None = await _queries.replace_key.fetch_value(
        conn, id=key_id, replaced_by=replaced_by, overlap=overlap
    )
    return until


async def revoke_key(conn: Connection, key_id: str) -> bool:
    """Revoke a key; False if it was revoked before."""
    return bool(await _queries.revoke_key.fetch_value(conn, id=key_id))


async def insert_entry(conn: Connection, entry: Mapping[str, object]) -> int:
    """Add an entry to the audit log and return its id."""
    id_: int = await _audit.insert_entry.fetch_value(conn, **entry)
    return id_


async def settle_entry(conn: Connection, outcome: Mapping[str, object]) -> None:
    """Add the outcome of an attempt."""
    await _audit.settle_entry.execute(conn, **outcome)


async def settle_by_hand(
    conn: Connection, id_: int, *, outcome: str, actor: str, reason: str
) -> bool:
    """Write what a person found out about an old attempt; False if there is none to settle."""
    settled = await _audit.settle_by_hand.fetch_value(
        conn, id=id_, outcome=outcome, actor=actor, reason=reason
    )
    return settled is not None


async def settle_done(conn: Connection, most: int) -> int:
    """Write the outcome of attempts whose change is done; return of how many."""
    settled: int = await _audit.settle_done.fetch_value(conn, most=most)
    return settled


async def get_outcome(conn: Connection, id_: int) -> str | None:
    """Return the outcome of an entry; None: there is no such entry."""
    outcome: str | None = await _audit.get_outcome.fetch_value(conn, id=id_)
    return outcome


async def prune_entries(conn: Connection, keep_days: int) -> int:
    """Delete the oldest changes that began longer ago, up to 10,000; returns how many."""
    changes: int = await _audit.prune_entries.fetch_value(conn, keep_days=keep_days)
    return changes


async def count_prunable(conn: Connection, keep_days: int) -> int:
    """Count the changes that `prune_entries` would delete."""
    count: int = await _audit.count_prunable.fetch_value(conn, keep_days=keep_days)
    return count


async def list_entries(
    conn: Connection,
    *,
    target_id: str | None,
    actor: str | None,
    person: str | None,
    before: int,
    most: int,
) -> Sequence[asyncpg.Record]:
    """Return the newest entries before an id, optionally of one target, actor or person only.

    Needs a transaction: it sets how its statement is planned.
    """
    await _audit.plan_for_values.execute(conn)
    return await _audit.list_entries.fetch(
        conn, target_id=target_id, actor=actor, person=person, before=before, most=most
    )


async def open_session(conn: Connection, **session: object) -> UUID:
    """Store a session of the console, and return its id."""
    id_: UUID = await _sessions.open_session.fetch_value(conn, **session)
    return id_


async def find_session(conn: Connection, token_hash: bytes) -> asyncpg.Record | None:
    """Return a session that has not ended, with its key as it is now."""
    return await _sessions.find_session.fetch_one(conn, token_hash=token_hash)


async def get_session_subject(conn: Connection, token_hash: bytes) -> Mapping[str, str] | None:
    """Return what an identity provider has said of whose session it is, or was."""
    found: Mapping[str, str] | None = await _sessions.get_session_subject.fetch_value(
        conn, token_hash=token_hash
    )
    return found


async def note_session_use(conn: Connection, id_: UUID) -> None:
    """Record that a session is in use, at most once a minute."""
    await _sessions.note_session_use.execute(conn, id=id_)


async def end_session(conn: Connection, id_: UUID) -> str | None:
    """End a session and return whose it was; None if there is none."""
    person: str | None = await _sessions.end_session.fetch_value(conn, id=id_)
    return person


async def set_preferences(
    conn: Connection, id_: UUID, *, language: str | None, time_zone: str | None
) -> None:
    """Set language and time zone of a session."""
    await _sessions.set_preferences.execute(conn, id=id_, language=language, time_zone=time_zone)


async def list_sessions(conn: Connection) -> Sequence[asyncpg.Record]:
    """Return the sessions that have not ended, the latest use first."""
    return await _sessions.list_sessions.fetch(conn)
