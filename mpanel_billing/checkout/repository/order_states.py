"""What the success page and the bridge are told of an order."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from mpanel_billing.checkout.repository.orders import AttemptStatus
from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("checkout")


@dataclass(frozen=True, slots=True)
class TenantState:
    """The tenant of a subscription."""

    id: UUID
    domain: str
    status: str | None


@dataclass(frozen=True, slots=True)
class OrderState:
    """The state of an order; `amount` is in minor units of `currency` per term.

    `services` are product types with the state of their account, `domains` the names that were
    ordered, both as JSON.
    """

    subscription_id: UUID
    status: str
    livemode: bool
    stripe_status: str | None
    stripe_subscription_id: str | None
    plan_code: str | None
    plan_name: str | None
    billing_cycle: str | None
    currency: str
    amount: int
    current_period_end: datetime | None
    trial_end: datetime | None
    cancel_at_period_end: bool
    session_status: AttemptStatus
    payment_status: str | None
    amount_paid: int | None
    tenant: TenantState | None
    services: Sequence[Mapping[str, str]]
    domains: Sequence[Mapping[str, str]]


async def get_order_of_session(conn: Connection, stripe_session_id: str) -> OrderState | None:
    """Return the state of an order, by any of its sessions."""
    row = await _queries.get_order_of_session.fetch_one(conn, stripe_session_id=stripe_session_id)
    if row is None:
        return None
    return OrderState(
        subscription_id=row["id"],
        status=row["status"],
        livemode=row["livemode"],
        stripe_status=row["stripe_status"],
        stripe_subscription_id=row["stripe_subscription_id"],
        plan_code=row["plan_code"],
        plan_name=row["plan_name"],
        billing_cycle=row["billing_cycle"],
        currency=row["currency"],
        amount=row["amount"],
        current_period_end=row["current_period_end"],
        trial_end=row["trial_end"],
        cancel_at_period_end=bool(row["cancel_at_period_end"]),
        session_status=row["session_status"],
        payment_status=row["payment_status"],
        amount_paid=row["amount_paid"],
        tenant=_tenant(row),
        services=row["services"],
        domains=row["domains"],
    )


def _tenant(row: asyncpg.Record) -> TenantState | None:
    if row["tenant_id"] is None:
        return None
    return TenantState(row["tenant_id"], row["tenant_domain"], row["tenant_status"])
