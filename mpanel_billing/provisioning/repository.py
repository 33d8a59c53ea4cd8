"""The rows of provisioning, typed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.provisioning.desired import (
    Desired,
    Entitlement,
    Existing,
    Included,
    Resources,
)
from mpanel_billing.provisioning.drivers.protocol import Done, Order, Refused, Result
from mpanel_billing.provisioning.lease import Lease
from mpanel_billing.provisioning.leg import RESULTING, Leg
from mpanel_billing.provisioning.work import Buyer, Charge, Work

_queries = load_queries("provisioning")


async def get_work(conn: Connection, lease: Lease) -> Work | None:
    """Return what the run has to know; None when the lease is another's by now."""
    row = await _queries.get_work.fetch_one(
        conn, subscription_id=lease.subscription_id, token=lease.token
    )
    return None if row is None else _work_of(lease.subscription_id, row)


def _work_of(subscription_id: UUID, row: asyncpg.Record) -> Work:
    legs = {leg["product_type"]: _leg_of(leg) for leg in row["legs"]}
    return Work(
        subscription_id=subscription_id,
        now=row["now"],
        version=row["version"],
        attempts=row["attempts"],
        livemode=row["livemode"],
        stripe_subscription_id=row["stripe_subscription_id"],
        stripe_customer_id=row["stripe_customer_id"],
        ending=row["ending"],
        trial_end=row["trial_end"],
        tenant_id=row["tenant_id"],
        tenant_domain=row["tenant_domain"],
        domain_mode=row["domain_mode"],
        domain_value=row["domain_value"],
        buyer=Buyer(row["email"], row["customer_name"], row["company_name"]),
        hold_reason=row["hold_reason"],
        entitlement=_entitlement_of(row, legs),
        legs=legs,
        charges=tuple(_charge_of(charge) for charge in row["charges"]),
    )


def _entitlement_of(row: asyncpg.Record, legs: Mapping[str, Leg]) -> Entitlement:
    return Entitlement(
        stripe_status=row["stripe_status"],
        settled=row["settled"],
        collection_paused=row["collection_paused"],
        unpaid_since=row["unpaid_since"],
        ended_at=row["ended_at"],
        held=row["hold_reason"] is not None,
        items=tuple(
            Included(tuple(p["product_types"] or ()), p["resources"] or {}, p["quantity"])
            for p in row["products"]
        ),
        existing={
            product_type: Existing(
                leg.actual != "absent" or leg.pending is not None,
                leg.desired_resources,
                leg.removed_at,
            )
            for product_type, leg in legs.items()
        },
    )


def _leg_of(row: Mapping[str, Any]) -> Leg:
    return Leg(
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


async def get_tenant(conn: Connection, subscription_id: UUID) -> tuple[UUID, str] | None:
    """Return id and domain of the tenant that was made for a subscription."""
    row = await _queries.get_tenant.fetch_one(conn, subscription_id=subscription_id)
    return None if row is None else (row["id"], row["domain"])


async def insert_tenant(
    conn: Connection, subscription_id: UUID, name: str, domain: str
) -> tuple[UUID, str] | None:
    """Make a tenant; None when the domain is somebody's already."""
    row = await _queries.insert_tenant.fetch_one(
        conn, subscription_id=subscription_id, name=name, domain=domain
    )
    return None if row is None else (row["id"], row["domain"])


async def link_tenant(conn: Connection, subscription_id: UUID, tenant_id: UUID) -> None:
    """Give the subscription its tenant."""
    await _queries.link_tenant.execute(conn, subscription_id=subscription_id, tenant_id=tenant_id)


async def link_invoices(conn: Connection, subscription_id: UUID, tenant_id: UUID) -> None:
    """Give the subscription's invoices their tenant."""
    await _queries.link_invoices.execute(conn, subscription_id=subscription_id, tenant_id=tenant_id)


async def note_trouble(conn: Connection, subscription_id: UUID, trouble: str | None) -> None:
    """Keep a sentence for a person to settle, until it is cleared with None."""
    await _queries.note_trouble.execute(conn, subscription_id=subscription_id, trouble=trouble)


async def write_wishes(
    conn: Connection, lease: Lease, desired: Desired, drivers: Mapping[str, str]
) -> None:
    """Store what each service should be; `drivers` names the driver for a new account."""
    wishes = [
        {
            "product_type": product_type,
            "desired": service.wish,
            "resources": service.resources,
            "removed_at": service.removed_at,
            "driver": drivers[product_type],
        }
        for product_type, service in desired.services.items()
    ]
    await _queries.write_wishes.execute(
        conn, subscription_id=lease.subscription_id, token=lease.token, wishes=wishes
    )


async def list_legs(conn: Connection, subscription_id: UUID) -> dict[str, Leg]:
    """Return the services of a subscription by product type."""
    rows = await _queries.list_legs.fetch(conn, subscription_id=subscription_id)
    return {row["leg"]["product_type"]: _leg_of(row["leg"]) for row in rows}


async def begin_order(conn: Connection, lease: Lease, leg: Leg, order: Order) -> bool:
    """Note that the driver is about to be asked; False when the lease is another's by now.

    `leg` is as the order sees it: with an overtaken order taken for carried out.
    """
    begun = await _queries.begin_order.fetch_value(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        product_type=leg.product_type,
        action=order.action,
        generation=order.generation,
        request=order.details,
        actual=leg.actual,
        resources=leg.resources,
    )
    return begun is not None


async def log_call(
    conn: Connection, driver: str, order: Order, result: Result, duration_ms: int
) -> None:
    """Keep a record of a call to a driver."""
    await _queries.log_call.execute(
        conn,
        subscription_id=order.subscription_id,
        product_type=order.product_type,
        driver=driver,
        action=order.action,
        idempotency_key=order.idempotency_key,
        request=order.details,
        response=result.response,
        outcome=_outcome_of(result),
        error=None if isinstance(result, Done) else result.error,
        duration_ms=duration_ms,
    )


def _outcome_of(result: Result) -> str:
    if isinstance(result, Done):
        return "already_done" if result.already else "done"
    return "permanent" if isinstance(result, Refused) else "retryable"


async def settle_order(
    conn: Connection, lease: Lease, order: Order, done: Done, resources: Resources
) -> Leg | None:
    """Move a leg to where a carried out order has brought it; None: the lease is lost.

    `resources` are those that the account now has.
    """
    row = await _queries.settle_order.fetch_value(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        product_type=order.product_type,
        generation=order.generation,
        actual=RESULTING[order.action],
        external_ref=done.external_ref,
        resources=resources,
    )
    return None if row is None else _leg_of(row)


async def postpone_order(
    conn: Connection, lease: Lease, product_type: str, error: str, retry_seconds: float
) -> Leg | None:
    """Note a failure and when to repeat the order; None: the lease is lost."""
    row = await _queries.postpone_order.fetch_value(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        product_type=product_type,
        error=error,
        retry_seconds=retry_seconds,
    )
    return None if row is None else _leg_of(row)


async def refuse_order(conn: Connection, lease: Lease, product_type: str, error: str) -> Leg | None:
    """Stop a leg whose order was turned down; None: the lease is lost."""
    row = await _queries.refuse_order.fetch_value(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        product_type=product_type,
        error=error,
    )
    return None if row is None else _leg_of(row)


async def set_status(
    conn: Connection, subscription_id: UUID, status: str, tenant_status: str
) -> None:
    """Set the words of the subscription and its tenant, and wake whoever waits for them."""
    await _queries.set_status.execute(
        conn, subscription_id=subscription_id, status=status, tenant_status=tenant_status
    )


async def finish_work(
    conn: Connection,
    lease: Lease,
    version: int,
    *,
    done: bool,
    error: str | None,
    wake_at: datetime | None,
    retry_seconds: float | None,
) -> tuple[int, float | None] | None:
    """End a run: answer the attempts and the seconds until the next, if one is to be.

    The next comes at `wake_at`, in `retry_seconds`, or when a failed leg is due.

    None when the wish has changed since `version`, or the lease is lost: nothing is ended.
    """
    row = await _queries.finish_work.fetch_one(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        version=version,
        done=done,
        error=error,
        wake_at=wake_at,
        retry_seconds=retry_seconds,
    )
    return None if row is None else (row["attempts"], row["wake_seconds"])


async def list_due_work(conn: Connection, most: int) -> Sequence[tuple[UUID, int]]:
    """Return subscriptions that the clock says to look at, with the versions of their work."""
    rows = await _queries.list_due_work.fetch(conn, most=most)
    return [(row["subscription_id"], row["version"]) for row in rows]
