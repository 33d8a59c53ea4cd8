"""Reads what the desired state of a subscription's services is decided from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.provisioning.desired import Entitlement, Existing, Leniency
from mpanel_billing.provisioning.product_resources import Included
from mpanel_billing.provisioning.repository.accounts import moment_of, service_of
from mpanel_billing.provisioning.service_state import Service

_queries = load_queries("entitlements")


@dataclass(frozen=True, slots=True)
class Product:
    """A product of the catalogue that a subscription has; `features` are those of its card."""

    code: str
    kind: str
    name: str
    quantity: int
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """A subscription with what entitles it, as of `now`; times are UTC.

    `ends_at`: when it ends as planned, None if no end is planned. `used_up_until`: when the term
    ends whose usage has reached a limit that suspends. `accounts`: what its service of each product
    type is now, such as `active`; `is_served`: the latest run let one be active.
    """

    subscription_id: UUID
    customer_id: UUID | None
    tenant_id: UUID | None
    domain: str | None
    now: datetime
    created_at: datetime
    trial_end: datetime | None
    ends_at: datetime | None
    used_up_until: datetime | None
    products: tuple[Product, ...]
    entitlement: Entitlement
    accounts: Mapping[str, str]
    is_served: bool


@dataclass(frozen=True, slots=True)
class Concerned:
    """A subscription that an agreement about debts is for; `plan` is that of the catalogue.

    `has_own`: something was agreed for it alone. `of_customer`: what was agreed for its customer.
    """

    subscription_id: UUID
    plan: str | None
    entitlement: Entitlement
    has_own: bool
    of_customer: Leniency


async def get_of_tenant(conn: Connection, tenant_id: UUID, *, livemode: bool) -> Held | None:
    """Return what a tenant's subscription has; None if Stripe bills none for it in our mode."""
    row = await _queries.get_of_tenant.fetch_one(conn, tenant_id=tenant_id, livemode=livemode)
    return None if row is None else _held_of(row)


async def list_of_customer(
    conn: Connection,
    customer_id: UUID,
    most: int,
    after: tuple[datetime, UUID] | None,
    *,
    livemode: bool,
) -> Sequence[Held]:
    """Return what each of a customer's subscriptions has, newest first, `after` one of them.

    Of those that have ended: as long as an account of theirs is kept.
    """
    before_at, before_id = after or (None, None)
    rows = await _queries.list_of_customer.fetch(
        conn,
        customer_id=customer_id,
        livemode=livemode,
        before_at=before_at,
        before_id=before_id,
        most=most,
    )
    return [_held_of(row) for row in rows]


async def list_concerned(
    conn: Connection, subscription_id: UUID, most: int, *, whole_customer: bool
) -> Sequence[Concerned]:
    """Return the subscription, or all of its customer that have not ended, itself first."""
    rows = await _queries.list_concerned.fetch(
        conn, subscription_id=subscription_id, whole_customer=whole_customer, most=most
    )
    return [_concerned_of(row) for row in rows]


def _concerned_of(row: asyncpg.Record) -> Concerned:
    plans = [one["name"] for one in row["products"] if one["kind"] == "plan"]
    return Concerned(
        subscription_id=row["subscription_id"],
        plan=plans[0] if plans else None,
        entitlement=entitlement_of(row, _services_of(row)),
        has_own=row["has_own"],
        of_customer=_leniency_of(row["customers_grace_days"], row["customers_not_before"]),
    )


def _held_of(row: asyncpg.Record) -> Held:
    services = _services_of(row)
    return Held(
        subscription_id=row["subscription_id"],
        customer_id=row["customer_id"],
        tenant_id=row["tenant_id"],
        domain=row["domain"],
        now=row["now"],
        created_at=row["created_at"],
        trial_end=row["trial_end"],
        ends_at=row["ends_at"],
        used_up_until=row["used_up_until"],
        products=tuple(
            Product(p["code"], p["kind"], p["name"], p["quantity"], tuple(p["features"] or ()))
            for p in row["products"]
        ),
        entitlement=entitlement_of(row, services),
        accounts={product_type: service.actual for product_type, service in services.items()},
        is_served=any(service.desired == "active" for service in services.values()),
    )


def _services_of(row: asyncpg.Record) -> Mapping[str, Service]:
    return {service["product_type"]: service_of(service) for service in row["services"]}


def _leniency_of(grace_days: int | None, not_before: datetime | None) -> Leniency:
    return Leniency(None if grace_days is None else timedelta(days=grace_days), not_before)


def entitlement_of(row: asyncpg.Record, services: Mapping[str, Service]) -> Entitlement:
    """Read a row of `billing_entitlement_inputs`.

    What Stripe says is read from `inputs` alone: whatever is in there triggers a run.
    """
    inputs = row["inputs"]
    return Entitlement(
        stripe_status=inputs["stripeStatus"],
        settled=inputs["settled"],
        order_paid=inputs["orderPaid"],
        collection_paused=inputs["collectionPaused"],
        paused_by=inputs["pausedBy"],
        owed_since=moment_of(inputs["owedSince"]),
        term_start=moment_of(inputs["termStart"]),
        contradicted_since=row["contradicted_since"],
        ended_at=moment_of(inputs["endedAt"]),
        held=row["hold_reason"] is not None,
        disputed=inputs.get("disputedSince") is not None,
        held_for_pause=row["held_for_pause"],
        used_up=row["used_up"],
        paid_after_end=inputs["paidAfterEnd"] is not None,
        leniency=_leniency_of(row["grace_days"], row["not_before"]),
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
