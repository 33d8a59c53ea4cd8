"""Reads and writes what is known of a domain at its registrar."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.domains.names import DomainName
from mpanel_billing.provisioning.drivers.registrar import (
    DomainCommand,
    DomainDone,
    DomainRefused,
    DomainResult,
)
from mpanel_billing.provisioning.registrar.registrant import Registrant
from mpanel_billing.provisioning.registrar.registration import Registration
from mpanel_billing.provisioning.repository.accounts import moment_of
from mpanel_billing.telemetry.logs import redact_values
from mpanel_billing.telemetry.quoting import quote

_queries = load_queries("registrar")

LEASE_SECONDS = 1800.0
"""How long a run is taken to be alive after its latest command; a driver's timeout is shorter."""

_PRIVATE = frozenset({"authCode", "registrant"})


@dataclass(frozen=True, slots=True)
class Held:
    """A domain that this run works on, as of `now`; `auth_code` is as it is stored."""

    domain: Registration
    token: UUID
    now: datetime
    auth_code: str | None


async def take_domain(
    conn: Connection, id_: UUID, token: UUID, now: datetime | None
) -> Held | None:
    """Take a domain to work on it; None if there is nothing to do, or another run has it."""
    row = await _queries.take_domain.fetch_one(
        conn, id=id_, token=token, lease_seconds=LEASE_SECONDS, now=now
    )
    if row is None:
        return None
    return Held(_registration_of(row["domain"]), token, row["now"], row["domain"]["auth_code"])


def _registration_of(row: Mapping[str, Any]) -> Registration:
    return Registration(
        id=UUID(row["id"]),
        name=row["name"],
        mode=row["mode"],
        state=row["state"],
        driver=row["driver"],
        version=row["version"],
        external_ref=row["external_ref"],
        registered_at=moment_of(row["registered_at"]),
        expires_at=moment_of(row["expires_at"]),
        paid_until=moment_of(row["paid_until"]),
        name_servers=tuple(row["name_servers"]),
        has_auth_code=row["auth_code"] is not None,
        needs=tuple(row["needs"]),
        generation=row["generation"],
        pending=row["pending_action"],
        pending_request=row["pending_request"],
        is_confirmed=row["is_confirmed"],
        attempts=row["attempts"],
        stopped=row["stopped_at"] is not None,
        last_error=row["last_error"],
    )


async def get_registrant(conn: Connection, id_: UUID) -> Registrant:
    """Return who a domain is registered for, as far as it is on record."""
    row = await _queries.get_registrant.fetch_one(conn, id=id_)
    if row is None:
        return Registrant()
    return Registrant(
        name=row["name"],
        organisation=row["company_name"],
        email=row["email"],
        phone=row["phone"],
        line1=row["address_line1"],
        line2=row["address_line2"],
        city=row["city"],
        state=row["state"],
        postcode=row["postal_code"],
        country=row["country"],
    )


async def begin_command(
    conn: Connection, held: Held, domain: Registration, now: datetime | None
) -> bool:
    """Store the pending command of `domain` before the registrar is called.

    False if the lease is lost, or something has changed since it was taken.
    """
    begun = await _queries.begin_command.fetch_value(
        conn,
        id=domain.id,
        token=held.token,
        version=domain.version,
        state=domain.state,
        action=domain.pending,
        request=domain.pending_request,
        generation=domain.generation,
        name_servers=list(domain.name_servers),
        lease_seconds=LEASE_SECONDS,
        now=now,
    )
    return begun is not None


async def log_call(
    conn: Connection,
    domain: Registration,
    command: DomainCommand,
    result: DomainResult,
    duration_ms: int,
) -> None:
    """Record a call, without what is secret or personal in it."""
    told = {key: value for key, value in command.details.items() if key not in _PRIVATE}
    await _queries.log_call.execute(
        conn,
        id=domain.id,
        driver=domain.driver,
        action=command.action,
        idempotency_key=command.idempotency_key,
        request=redact_values(told),
        response=redact_values(result.response),
        outcome=outcome_of(result),
        error=None if isinstance(result, DomainDone) else quote(result.error),
        duration_ms=duration_ms,
    )


def outcome_of(result: DomainResult) -> str:
    """Return the `outcome` of billing_registrar_calls for a result."""
    if isinstance(result, DomainDone):
        return "already_done" if result.already else "done"
    return "permanent" if isinstance(result, DomainRefused) else "retryable"


async def store_domain(
    conn: Connection,
    held: Held,
    domain: Registration,
    *,
    inspected_at: datetime | None = None,
) -> Registration | None:
    """Store what a run has learnt of its domain; None if the lease is lost."""
    row = await _queries.store_domain.fetch_one(
        conn,
        id=domain.id,
        token=held.token,
        state_before=held.domain.state,
        domain={
            "state": domain.state,
            "version": domain.version,
            "external_ref": domain.external_ref,
            "registered_at": domain.registered_at,
            "expires_at": domain.expires_at,
            "generation": domain.generation,
            "pending": domain.pending,
            "pending_request": domain.pending_request,
            "is_confirmed": domain.is_confirmed,
            "has_auth_code": domain.has_auth_code,
            "needs": list(domain.needs),
            "attempts": domain.attempts,
            "stopped": domain.stopped,
            "last_error": None if domain.last_error is None else quote(domain.last_error),
        },
        inspected_at=inspected_at,
    )
    return None if row is None else _registration_of(row["domain"])


async def finish_domain(
    conn: Connection, held: Held, seconds: float | None, now: datetime | None
) -> None:
    """End a run; the next one is in as many seconds; None: only when something changes."""
    await _queries.finish_domain.execute(
        conn,
        id=held.domain.id,
        token=held.token,
        version=held.domain.version,
        next_seconds=seconds,
        now=now,
    )


async def list_due(
    conn: Connection, most: int, now: datetime | None = None
) -> Sequence[tuple[UUID, int]]:
    """Return the domains that are due, each with the Unix time since when."""
    rows = await _queries.list_due.fetch(conn, most=most, now=now)
    return [(row["id"], row["due"]) for row in rows]


async def list_due_of(
    conn: Connection, subscription_id: UUID, now: datetime | None = None
) -> Sequence[tuple[UUID, int]]:
    """Return the domains of a subscription that are due, as `list_due`."""
    rows = await _queries.list_due_of.fetch(conn, subscription_id=subscription_id, now=now)
    return [(row["id"], row["due"]) for row in rows]


async def order_renewal(conn: Connection, id_: UUID, paid_until: datetime) -> int | None:
    """Have a domain renewed that is paid until then; trigger it with the version that this returns.

    None if it cannot be renewed, or is paid for as long already.
    """
    due: int | None = await _queries.order_renewal.fetch_value(conn, id=id_, paid_until=paid_until)
    return due


async def look_again(conn: Connection, name: DomainName, id_: UUID | None = None) -> UUID | None:
    """Have the worker look at a name now, whatever was refused; None if no registrar manages it.

    `id_`: only if this row has the name.
    """
    found: UUID | None = await _queries.look_again.fetch_value(
        conn, name=name.ascii, registrable=name.registrable, id=id_
    )
    return found


async def give_up(conn: Connection, name: DomainName, reason: str) -> UUID | None:
    """Stop trying to get a name, and return its row; None if it may be ordered at the registry."""
    found: UUID | None = await _queries.give_up.fetch_value(
        conn, name=name.ascii, registrable=name.registrable, reason=reason
    )
    return found


async def accept_loss(conn: Connection, name: DomainName) -> UUID | None:
    """Take a name that has left for its customer's own; None if it has not left."""
    found: UUID | None = await _queries.accept_loss.fetch_value(
        conn, name=name.ascii, registrable=name.registrable
    )
    return found
