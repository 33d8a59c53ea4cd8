"""Reads the input of a provisioning run, and stores what it desires and how it ends."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.provisioning.desired import Desired, Reason, contradicted_since
from mpanel_billing.provisioning.lease import Lease
from mpanel_billing.provisioning.repository.accounts import moment_of, service_of
from mpanel_billing.provisioning.repository.entitlements import entitlement_of
from mpanel_billing.provisioning.repository.money import charge_of
from mpanel_billing.provisioning.service_state import Service
from mpanel_billing.provisioning.work import Buyer, RivalPage, Work

_queries = load_queries("provisioning")


async def get_work(conn: Connection, lease: Lease) -> Work | None:
    """Return the input of a run; None if another run has taken over the lease."""
    row = await _queries.get_work.fetch_one(
        conn, subscription_id=lease.subscription_id, token=lease.token, now=lease.clock()
    )
    return None if row is None else _work_of(lease.subscription_id, row)


def _work_of(subscription_id: UUID, row: asyncpg.Record) -> Work:
    services = {service["product_type"]: service_of(service) for service in row["services"]}
    return Work(
        subscription_id=subscription_id,
        now=row["now"],
        version=row["version"],
        attempts=row["attempts"],
        livemode=row["livemode"],
        stripe_subscription_id=row["stripe_subscription_id"],
        stripe_customer_id=row["stripe_customer_id"],
        ending=row["inputs"]["ending"],
        trial_end=moment_of(row["inputs"]["trialEnd"]),
        tenant_id=row["tenant_id"],
        tenant_domain=row["tenant_domain"],
        domain_mode=row["domain_mode"],
        domain_value=row["domain_value"],
        ordered_further_domains=tuple(row["further_domains"]),
        buyer=Buyer(row["email"], row["customer_name"], row["company_name"]),
        hold_reason=row["hold_reason"],
        entitlement=entitlement_of(row, services),
        services=services,
        debt_confirmed=row["debt_confirmed"],
        suspension="removed",
        charges=tuple(charge_of(charge) for charge in row["charges"]),
        adopted_from=row["adopted_from"],
        to_inspect=row["to_inspect"],
        predecessor_id=row["predecessor_id"],
        vouched_customer_id=row["vouched_customer_id"],
        domain_states=row["domain_states"],
        at_registrar=frozenset(row["at_registrar"]),
        paid_alone=frozenset(row["paid_alone"]),
        rival_pages=tuple(
            RivalPage(UUID(page["subscription_id"]), page["session_id"])
            for page in row["rival_pages"]
        ),
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


async def rename_tenant(conn: Connection, lease: Lease, domain: str) -> str | None:
    """Give the tenant another domain; None if another tenant has it, or the lease is lost."""
    renamed: str | None = await _queries.rename_tenant.fetch_value(
        conn, subscription_id=lease.subscription_id, token=lease.token, domain=domain
    )
    return renamed


async def write_desired(
    conn: Connection,
    lease: Lease,
    desired: Desired,
    drivers: Mapping[str, str],
    domains: Mapping[str, Sequence[str]],
    *,
    registrar: str | None = None,
    registrar_domains: Sequence[str] = (),
) -> dict[str, Service]:
    """Store the desired state of each service; `drivers` names the driver of a new account.

    `domains`: what each service should have registered or transferred, or been told that the tenant
    has got, by product type.
    `registrar_domains`: what the driver `registrar` should.

    Returns the services whose desired state is new or has changed, by product type.
    """
    states = [
        {
            "product_type": product_type,
            "desired": service.state,
            "resources": service.resources,
            "domains": list(domains.get(product_type, ())),
            "removed_at": service.removed_at,
            "driver": drivers[product_type],
        }
        for product_type, service in desired.services.items()
    ]
    rows = await _queries.write_desired.fetch(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        desired=states,
        domains=list(registrar_domains),
        registrar=registrar,
        now=lease.clock(),
    )
    return {row["service"]["product_type"]: service_of(row["service"]) for row in rows}


async def finish_work(
    conn: Connection,
    lease: Lease,
    work: Work,
    *,
    done: bool,
    error: str | None,
    wake_at: datetime | None,
    reason: Reason | None,
    retry_seconds: float | None,
    statuses: tuple[str, str] | None,
) -> tuple[int, float | None] | None:
    """End a run; return its attempts, and the seconds until the next run if one is needed.

    The next run is at `wake_at`, in `retry_seconds`, or when a failed service is due, whichever
    is first. `reason`: why its services are not active. `statuses` are the new ones of the
    subscription and its tenant; None: unchanged.

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
        reason=reason,
        retry_seconds=retry_seconds,
        status=status,
        tenant_status=tenant_status,
        contradicted_since=contradicted_since(work.entitlement),
        now=lease.clock(),
    )
    return None if row is None else (row["attempts"], row["wake_seconds"])


async def renew_edited(conn: Connection, most: int) -> tuple[Sequence[tuple[UUID, int]], bool]:
    """Trigger subscriptions to a product whose catalogue entry was edited.

    At most `most` at a time, of one product; returns them with the versions of their work, and
    whether there may be more.
    """
    rows = await _queries.renew_edited.fetch(conn, most=most)
    has_more = await _queries.has_edits.fetch_value(conn)
    return [(row["subscription_id"], row["version"]) for row in rows], bool(has_more)


async def list_undone_work(
    conn: Connection, most: int, now: datetime | None = None
) -> Sequence[tuple[UUID, int, bool]]:
    """Return the subscriptions whose trigger may be lost: id, version, whether a lease is valid.

    `now`: None means the database's time.
    """
    rows = await _queries.list_undone_work.fetch(conn, most=most, now=now)
    return [(row["subscription_id"], row["version"], row["is_leased"]) for row in rows]


async def list_due_work(
    conn: Connection, most: int, now: datetime | None = None
) -> Sequence[tuple[UUID, int]]:
    """Return the subscriptions that are due, with the versions of their work.

    `now`: None means the database's time.
    """
    rows = await _queries.list_due_work.fetch(conn, most=most, now=now)
    return [(row["subscription_id"], row["version"]) for row in rows]
