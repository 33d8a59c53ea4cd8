"""Reads and writes the rows of a provisioning run."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.provisioning.desired import (
    Desired,
    Entitlement,
    Existing,
    Included,
    Leniency,
    contradicted_since,
)
from mpanel_billing.provisioning.drivers.protocol import Done, DriverCommand, Found, Refused, Result
from mpanel_billing.provisioning.lease import Lease
from mpanel_billing.provisioning.service_state import RESULTING, Service
from mpanel_billing.provisioning.work import Buyer, Charge, Work

_queries = load_queries("provisioning")
_charges = load_queries("charges")
_adoptions = load_queries("adoptions")


async def get_work(conn: Connection, lease: Lease) -> Work | None:
    """Return the input of a run; None if another run has taken over the lease."""
    row = await _queries.get_work.fetch_one(
        conn, subscription_id=lease.subscription_id, token=lease.token, now=lease.clock()
    )
    return None if row is None else _work_of(lease.subscription_id, row)


def _work_of(subscription_id: UUID, row: asyncpg.Record) -> Work:
    services = {service["product_type"]: _service_of(service) for service in row["services"]}
    return Work(
        subscription_id=subscription_id,
        now=row["now"],
        version=row["version"],
        attempts=row["attempts"],
        livemode=row["livemode"],
        stripe_subscription_id=row["stripe_subscription_id"],
        stripe_customer_id=row["stripe_customer_id"],
        ending=row["inputs"]["ending"],
        trial_end=_moment(row["inputs"]["trialEnd"]),
        tenant_id=row["tenant_id"],
        tenant_domain=row["tenant_domain"],
        domain_mode=row["domain_mode"],
        domain_value=row["domain_value"],
        further_domains=tuple(row["further_domains"]),
        buyer=Buyer(row["email"], row["customer_name"], row["company_name"]),
        hold_reason=row["hold_reason"],
        entitlement=_entitlement_of(row, services),
        services=services,
        debt_confirmed=row["debt_confirmed"],
        suspension="removed",
        charges=tuple(_charge_of(charge) for charge in row["charges"]),
        adopted_from=row["adopted_from"],
        to_inspect=row["to_inspect"],
        predecessor_id=row["predecessor_id"],
    )


def _entitlement_of(row: asyncpg.Record, services: Mapping[str, Service]) -> Entitlement:
    """Read what Stripe says from `inputs` alone: whatever is in there triggers a run."""
    inputs = row["inputs"]
    grace_days = row["grace_days"]
    return Entitlement(
        stripe_status=inputs["stripeStatus"],
        settled=inputs["settled"],
        collection_paused=inputs["collectionPaused"],
        paused_by=inputs["pausedBy"],
        owed_since=_moment(inputs["owedSince"]),
        term_start=_moment(inputs["termStart"]),
        contradicted_since=row["contradicted_since"],
        ended_at=_moment(inputs["endedAt"]),
        held=row["hold_reason"] is not None,
        paid_after_end=inputs["paidAfterEnd"] is not None,
        leniency=Leniency(
            None if grace_days is None else timedelta(days=grace_days), row["not_before"]
        ),
        items_unplaced=row["items_unplaced"],
        items=tuple(
            Included(tuple(p["product_types"] or ()), p["resources"] or {}, p["quantity"])
            for p in row["products"]
        ),
        existing={
            product_type: Existing(
                service.actual != "absent" or service.pending is not None,
                service.desired_resources,
                service.removed_at,
                service.exchanged_at,
            )
            for product_type, service in services.items()
        },
    )


def _service_of(row: Mapping[str, Any]) -> Service:
    return Service(
        product_type=row["product_type"],
        desired=row["desired"],
        actual=row["actual"],
        driver=row["driver"],
        external_ref=row["external_ref"],
        desired_resources=row["desired_resources"],
        resources=row["resources"],
        generation=row["generation"],
        pending=row["pending_action"],
        pending_request=row["pending_request"],
        attempts=row["attempts"],
        last_error=row["last_error"],
        next_attempt_at=_moment(row["next_attempt_at"]),
        stopped=row["stopped"],
        removed_at=_moment(row["removed_at"]),
        suspended_by_service=row["suspended_by_service"],
        account_id=None if row["account_id"] is None else UUID(row["account_id"]),
        exchanged_at=_moment(row["exchanged_at"]),
    )


def _charge_of(row: Mapping[str, Any]) -> Charge:
    return Charge(
        id=UUID(row["id"]),
        kind=row["kind"],
        code=row["code"],
        description=row["description"],
        amount=row["amount"],
        currency=row["currency"],
        state=row["state"],
        stripe_id=row["stripe_id"],
        attempt=row["attempt"],
        tried_at=_moment(row["tried_at"]),
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


async def list_unpaid_invoices(conn: Connection, subscription_id: UUID) -> list[str]:
    """Return the Stripe ids of the subscription's open and uncollectible invoices, oldest first."""
    rows = await _queries.list_unpaid_invoices.fetch(conn, subscription_id=subscription_id)
    return [row["stripe_invoice_id"] for row in rows]


async def list_open_term_invoices(conn: Connection, subscription_id: UUID) -> list[str]:
    """Return the Stripe ids of the invoices for terms that can still be paid, oldest first."""
    rows = await _queries.list_open_term_invoices.fetch(conn, subscription_id=subscription_id)
    return [row["stripe_invoice_id"] for row in rows]


async def note_debt_confirmed(conn: Connection, lease: Lease, version: int) -> None:
    """Record that Stripe has confirmed what a version of the work owes."""
    await _queries.note_debt_confirmed.execute(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        version=version,
        now=lease.clock(),
    )


async def note_debt_unconfirmed(conn: Connection, lease: Lease, error: str) -> None:
    """Record why Stripe could not be asked; the first time is kept."""
    await _queries.note_debt_unconfirmed.execute(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        error=error,
        now=lease.clock(),
    )


async def make_tenant(
    conn: Connection, work: Work, id_: UUID, *, name: str, domain: str, trouble: str | None
) -> tuple[UUID, str] | None:
    """Create the subscription's tenant; return its id and domain.

    `trouble`: something for an operator to settle. None if another tenant has the domain, or
    the subscription already has a tenant.
    """
    row = await _queries.make_tenant.fetch_one(
        conn,
        subscription_id=work.subscription_id,
        mirror_key=work.mirror_key,
        id=id_,
        name=name,
        domain=domain,
        trouble=trouble,
    )
    return None if row is None else (row["id"], row["domain"])


async def adopt_tenant(conn: Connection, work: Work, id_: UUID) -> tuple[UUID, str] | None:
    """Link the subscription to the tenant created for it; return its id and domain, if any."""
    row = await _queries.adopt_tenant.fetch_one(
        conn, subscription_id=work.subscription_id, mirror_key=work.mirror_key, id=id_
    )
    return None if row is None else (row["id"], row["domain"])


async def write_desired(
    conn: Connection, lease: Lease, desired: Desired, drivers: Mapping[str, str]
) -> dict[str, Service]:
    """Store the desired state of each service; `drivers` names the driver of a new account.

    Returns the services whose desired state is new or has changed, by product type.
    """
    states = [
        {
            "product_type": product_type,
            "desired": service.state,
            "resources": service.resources,
            "removed_at": service.removed_at,
            "driver": drivers[product_type],
        }
        for product_type, service in desired.services.items()
    ]
    rows = await _queries.write_desired.fetch(
        conn, subscription_id=lease.subscription_id, token=lease.token, desired=states
    )
    return {row["service"]["product_type"]: _service_of(row["service"]) for row in rows}


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
    )
    return begun is not None


async def adopt_account(
    conn: Connection, lease: Lease, product_type: str, driver: str, found: Found
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
        actual=found.actual,
        external_ref=found.external_ref,
        resources=found.resources,
        suspended_by_service=found.suspended_by_service,
        generation=found.generation,
    )


async def note_inspected(conn: Connection, subscription_id: UUID) -> None:
    """Record that the accounts of a subscription that was brought back have been looked for."""
    await _adoptions.note_inspected.execute(conn, subscription_id=subscription_id)


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
    return None if row is None else _service_of(row)


async def store_result(
    conn: Connection,
    lease: Lease,
    service: Service,
    command: DriverCommand,
    result: Result,
    *,
    duration_ms: int,
    retry_seconds: float | None,
) -> Service | None:
    """Log a driver call, and store the state in which its result leaves the service.

    `service` is as the command assumed it. None: the lease is lost, and the call is only logged.
    """
    done = isinstance(result, Done)
    row = await _queries.store_result.fetch_value(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        product_type=command.product_type,
        generation=command.generation,
        driver=service.driver,
        action=command.action,
        idempotency_key=command.idempotency_key,
        request=command.details,
        response=result.response,
        outcome=outcome_of(result),
        error=None if isinstance(result, Done) else result.error,
        duration_ms=duration_ms,
        actual=RESULTING[command.action] if done else service.actual,
        external_ref=result.external_ref if isinstance(result, Done) else None,
        resources=command.details.get("resources", service.resources)
        if done
        else service.resources,
        retry_seconds=retry_seconds,
        now=lease.clock(),
    )
    return None if row is None else _service_of(row)


def outcome_of(result: Result) -> str:
    """Return the `outcome` of provisioning_log for a driver's result."""
    if isinstance(result, Done):
        return "already_done" if result.already else "done"
    return "permanent" if isinstance(result, Refused) else "retryable"


async def finish_work(
    conn: Connection,
    lease: Lease,
    work: Work,
    *,
    done: bool,
    error: str | None,
    wake_at: datetime | None,
    retry_seconds: float | None,
    statuses: tuple[str, str] | None,
) -> tuple[int, float | None] | None:
    """End a run; return its attempts, and the seconds until the next run if one is needed.

    The next run is at `wake_at`, in `retry_seconds`, or when a failed service is due, whichever
    is first. `statuses` are the new ones of the subscription and its tenant; None: unchanged.

    Returns None, and ends nothing, if the work has changed since it was read or the lease is lost.
    """
    status, tenant_status = statuses or (None, None)
    row = await _queries.finish_work.fetch_one(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        version=work.version,
        mirror_key=work.mirror_key,
        done=done,
        error=error,
        wake_at=wake_at,
        retry_seconds=retry_seconds,
        status=status,
        tenant_status=tenant_status,
        contradicted_since=contradicted_since(work.entitlement),
        now=lease.clock(),
    )
    return None if row is None else (row["attempts"], row["wake_seconds"])


async def begin_attaching(conn: Connection, charge: Charge) -> bool:
    """Record that Stripe is about to be called; False if another run has changed the charge."""
    begun = await _charges.begin_attaching.fetch_value(conn, id=charge.id, attempt=charge.attempt)
    return begun is not None


async def mark_attached(conn: Connection, charge: Charge, stripe_id: str) -> None:
    """Store that the charge is attached in Stripe."""
    await _charges.mark_attached.execute(
        conn, id=charge.id, attempt=charge.attempt, stripe_id=stripe_id
    )


async def mark_removed(conn: Connection, charge: Charge) -> None:
    """Store that the charge is removed; if it is attached again, it is a new attempt."""
    await _charges.mark_removed.execute(conn, id=charge.id, attempt=charge.attempt)


async def renew_edited(conn: Connection, most: int) -> Sequence[tuple[UUID, int]]:
    """Trigger subscriptions to a product whose catalogue entry was edited.

    At most `most` at a time, of one product; returns them with the versions of their work.
    """
    rows = await _queries.renew_edited.fetch(conn, most=most)
    return [(row["subscription_id"], row["version"]) for row in rows]


async def list_due_work(
    conn: Connection, most: int, now: datetime | None = None
) -> Sequence[tuple[UUID, int]]:
    """Return the subscriptions that are due, with the versions of their work.

    `now`: None means the database's time.
    """
    rows = await _queries.list_due_work.fetch(conn, most=most, now=now)
    return [(row["subscription_id"], row["version"]) for row in rows]
