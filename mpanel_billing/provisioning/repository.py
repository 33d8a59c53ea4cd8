"""The rows of provisioning, typed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.provisioning.desired import Desired, Entitlement, Existing, Included
from mpanel_billing.provisioning.drivers.protocol import Done, Order, Refused, Result
from mpanel_billing.provisioning.lease import Lease
from mpanel_billing.provisioning.service_state import RESULTING, Leg
from mpanel_billing.provisioning.work import Buyer, Charge, Work

_queries = load_queries("provisioning")


async def get_work(conn: Connection, lease: Lease) -> Work | None:
    """Return what the run has to know; None when the lease is another's by now."""
    row = await _queries.get_work.fetch_one(
        conn, subscription_id=lease.subscription_id, token=lease.token, now=lease.clock()
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
        further_domains=tuple(row["further_domains"]),
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


async def make_tenant(
    conn: Connection, work: Work, *, name: str, domain: str, trouble: str | None
) -> tuple[UUID, str] | None:
    """Make the subscription's tenant, with a sentence for a person to settle, if there is one.

    None when the domain is somebody's already, or the subscription has a tenant.
    """
    row = await _queries.make_tenant.fetch_one(
        conn,
        subscription_id=work.subscription_id,
        mirror_key=work.mirror_key,
        name=name,
        domain=domain,
        trouble=trouble,
    )
    return None if row is None else (row["id"], row["domain"])


async def adopt_tenant(conn: Connection, work: Work) -> tuple[UUID, str] | None:
    """Give the subscription the tenant that was made for it, if there is one; its id and domain."""
    row = await _queries.adopt_tenant.fetch_one(
        conn, subscription_id=work.subscription_id, mirror_key=work.mirror_key
    )
    return None if row is None else (row["id"], row["domain"])


async def write_wishes(
    conn: Connection, lease: Lease, desired: Desired, drivers: Mapping[str, str]
) -> dict[str, Leg]:
    """Store what each service should be; `drivers` names the driver for a new account.

    Answers the legs whose wish is new or has changed, by product type.
    """
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
    rows = await _queries.write_wishes.fetch(
        conn, subscription_id=lease.subscription_id, token=lease.token, wishes=wishes
    )
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


async def store_answer(
    conn: Connection,
    lease: Lease,
    leg: Leg,
    order: Order,
    result: Result,
    *,
    duration_ms: int,
    retry_seconds: float | None,
) -> Leg | None:
    """Keep a record of a call, and move the leg to where its answer leaves it.

    `leg` is as the order saw it. None: the lease is lost, and only the record is kept.
    """
    done = isinstance(result, Done)
    row = await _queries.store_answer.fetch_value(
        conn,
        subscription_id=lease.subscription_id,
        token=lease.token,
        product_type=order.product_type,
        generation=order.generation,
        driver=leg.driver,
        action=order.action,
        idempotency_key=order.idempotency_key,
        request=order.details,
        response=result.response,
        outcome=outcome_of(result),
        error=None if isinstance(result, Done) else result.error,
        duration_ms=duration_ms,
        actual=RESULTING[order.action] if done else leg.actual,
        external_ref=result.external_ref if isinstance(result, Done) else None,
        resources=order.details.get("resources", leg.resources) if done else leg.resources,
        retry_seconds=retry_seconds,
        now=lease.clock(),
    )
    return None if row is None else _leg_of(row)


def outcome_of(result: Result) -> str:
    """Return the word of provisioning_log for what a driver answered."""
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
    words: tuple[str, str] | None,
) -> tuple[int, float | None] | None:
    """End a run: answer the attempts and the seconds until the next, if one is to be.

    The next comes at `wake_at`, in `retry_seconds`, or when a failed leg is due. `words` are the
    statuses of the subscription and its tenant from now on; None: as they are.

    None when the wish has changed since the work was read, or the lease is lost: nothing is ended.
    """
    status, tenant_status = words or (None, None)
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
        now=lease.clock(),
    )
    return None if row is None else (row["attempts"], row["wake_seconds"])


async def renew_edited(conn: Connection, most: int) -> Sequence[tuple[UUID, int]]:
    """Renew the wish of subscriptions to a product whose catalogue entry was edited.

    At most so many at a time, of one product; answers them, with the versions of their work.
    """
    rows = await _queries.renew_edited.fetch(conn, most=most)
    return [(row["subscription_id"], row["version"]) for row in rows]


async def list_due_work(
    conn: Connection, most: int, now: datetime | None = None
) -> Sequence[tuple[UUID, int]]:
    """Return subscriptions that the clock says to look at, with the versions of their work.

    `now`: the moment that counts; None: the database's.
    """
    rows = await _queries.list_due_work.fetch(conn, most=most, now=now)
    return [(row["subscription_id"], row["version"]) for row in rows]
