"""Writes what is sent to drivers, and what they report of the accounts."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.provisioning.drivers.protocol import (
    Account,
    Done,
    DriverCommand,
    Found,
    Refused,
    Result,
    Unsettled,
)
from mpanel_billing.provisioning.lease import Lease
from mpanel_billing.provisioning.service_state import (
    DOMAIN_DETAILS,
    RESULTING,
    Service,
    domains_in,
)
from mpanel_billing.telemetry.logs import redact_values
from mpanel_billing.telemetry.quoting import quote

_queries = load_queries("provisioning")
_adoptions = load_queries("adoptions")


@dataclass(frozen=True, slots=True)
class HeldAccount:
    """An account that a subscription has, the driver that made it, and what it may use."""

    account: Account
    driver: str
    server: str | None
    resources: Mapping[str, Any]

    @property
    def product_type(self) -> str:
        """What kind of service it is."""
        return self.account.product_type


async def list_held(conn: Connection, subscription_id: UUID) -> list[HeldAccount]:
    """Return the accounts that a subscription has."""
    return [
        HeldAccount(
            Account(subscription_id, row["product_type"], row["external_ref"], row["account_id"]),
            row["driver"],
            row["server"],
            row["resources"],
        )
        for row in await _queries.list_held.fetch(conn, subscription_id=subscription_id)
    ]


def service_of(row: Mapping[str, Any]) -> Service:
    """Read a row of tenant_services as JSON."""
    return Service(
        product_type=row["product_type"],
        desired=row["desired"],
        actual=row["actual"],
        driver=row["driver"],
        external_ref=row["external_ref"],
        desired_resources=row["desired_resources"],
        resources=row["resources"],
        desired_domains=tuple(row["desired_domains"]),
        ordered_domains=tuple(row["ordered_domains"]),
        generation=row["generation"],
        pending=row["pending_action"],
        pending_request=row["pending_request"],
        attempts=row["attempts"],
        last_error=row["last_error"],
        next_attempt_at=moment_of(row["next_attempt_at"]),
        stopped=row["stopped"],
        removed_at=moment_of(row["removed_at"]),
        suspended_by_service=row["suspended_by_service"],
        account_id=None if row["account_id"] is None else UUID(row["account_id"]),
        exchanged_at=moment_of(row["exchanged_at"]),
        server=row["server"],
    )


async def begin_command(
    conn: Connection, lease: Lease, service: Service, command: DriverCommand
) -> bool:
    """Store the command before the driver is called; False if the lease is lost.

    `service` is as the command assumes it: with a superseded command counted as done.
    """
    begun = await _queries.begin_command.fetch_value(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        product_type=service.product_type,
        action=command.action,
        generation=command.generation,
        request=command.details,
        actual=service.actual,
        resources=service.resources,
        domains=list(domains_in(command.details)),
    )
    return begun is not None


async def store_result(
    conn: Connection,
    lease: Lease,
    service: Service,
    command: DriverCommand,
    result: Result,
    *,
    duration_ms: int,
    was_unknown: bool,
    retry_seconds: float | None,
) -> Service | None:
    """Log a driver call, and store the state in which its result leaves the service.

    `service` is as the command assumed it; `was_unknown`: so was the outcome of a command before,
    of which a refusal says nothing. None: the lease is lost, and the call is only logged.
    """
    row = await _queries.store_result.fetch_value(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        product_type=command.product_type,
        generation=command.generation,
        driver=service.driver,
        server=service.server,
        action=command.action,
        idempotency_key=command.idempotency_key,
        request=redact_values(command.details),
        response=redact_values(result.response),
        outcome=outcome_of(result),
        error=None if isinstance(result, Done) else quote(result.error),
        duration_ms=duration_ms,
        stays_pending=isinstance(result, Unsettled)
        or (was_unknown and isinstance(result, Refused)),
        **_account_after(service, command, result),
        retry_seconds=retry_seconds,
        now=lease.clock(),
    )
    return None if row is None else service_of(row)


def _account_after(service: Service, command: DriverCommand, result: Result) -> dict[str, Any]:
    """Return the account's columns after a command: only one that is done has changed it."""
    if not isinstance(result, Done):
        return {
            "actual": service.actual,
            "external_ref": None,
            "resources": service.resources,
            "ordered_domains": list(service.ordered_domains),
        }
    return {
        "actual": RESULTING[command.action],
        "external_ref": result.external_ref,
        "resources": command.details.get("resources", service.resources),
        "ordered_domains": _ordered(service, command),
    }


def _ordered(service: Service, command: DriverCommand) -> list[str]:
    """Return all domains that the account was told of, once the command is done."""
    named = (command.details.get(detail) for detail in DOMAIN_DETAILS)
    told = (name for name in named if name in service.desired_domains)
    return [*dict.fromkeys((*service.ordered_domains, *told, *domains_in(command.details)))]


def outcome_of(result: Result) -> str:
    """Return the `outcome` of provisioning_log for a driver's result."""
    if isinstance(result, Done):
        return "already_done" if result.already else "done"
    return "permanent" if isinstance(result, Refused) else "retryable"


async def store_finding(
    conn: Connection, lease: Lease, service: Service, found: Found
) -> Service | None:
    """Store the account as the service reports it; None if the lease is lost."""
    row = await _queries.store_finding.fetch_value(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        product_type=service.product_type,
        actual=found.actual,
        external_ref=found.external_ref,
        resources=found.resources,
        suspended_by_service=found.suspended_by_service,
        generation=found.generation,
    )
    return None if row is None else service_of(row)


async def adopt_account(
    conn: Connection,
    lease: Lease,
    product_type: str,
    found: Found,
    *,
    driver: str,
    server: str | None,
) -> None:
    """Record an account that was found for a subscription that was brought back.

    UniqueViolationError if the account belongs to another subscription.
    """
    await _queries.adopt_account.execute(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        product_type=product_type,
        driver=driver,
        server=server,
        actual=found.actual,
        external_ref=found.external_ref,
        resources=found.resources,
        suspended_by_service=found.suspended_by_service,
        generation=found.generation,
        domains=list(found.domains),
    )


async def note_inspected(conn: Connection, subscription_id: UUID) -> None:
    """Record that the accounts of a subscription that was brought back have been looked for."""
    await _adoptions.note_inspected.execute(conn, subscription_id=subscription_id)


def moment_of(text: str | None) -> datetime | None:
    """Read a time in JSON."""
    return None if text is None else datetime.fromisoformat(text)
