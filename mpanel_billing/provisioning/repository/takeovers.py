"""Subscriptions that take over the tenant and accounts of one that has ended."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_queries = load_queries("takeovers")

Candidate = Mapping[str, Any]
"""A row of `find_ended_tenant`."""

Reason = Literal["revived", "returned", "adopted"]


async def find_ended_tenant(
    conn: Connection,
    subscription_id: UUID,
    *,
    domain: str | None = None,
    tenant_id: UUID | None = None,
) -> Candidate | None:
    """Return another subscription's tenant, and what speaks for and against a takeover."""
    row = await _queries.find_ended_tenant.fetch_one(
        conn, subscription_id=subscription_id, domain=domain, tenant_id=tenant_id
    )
    return None if row is None else dict(row)


async def list_adoptable(conn: Connection, subscription_id: UUID) -> Sequence[asyncpg.Record]:
    """Return the tenants that a subscription can take over: id, domain, accounts, end."""
    return await _queries.list_adoptable.fetch(conn, subscription_id=subscription_id)


async def plan_takeover(
    conn: Connection, subscription_id: UUID, predecessor_id: UUID, reason: Reason
) -> bool:
    """Record that a subscription takes over another; False if that was taken over before."""
    planned = await _queries.plan_takeover.fetch_value(
        conn, subscription_id=subscription_id, predecessor_id=predecessor_id, reason=reason
    )
    return planned is not None


async def abandon(conn: Connection, subscription_id: UUID, token: UUID) -> None:
    """Drop a takeover that is not done, unless the lease is lost."""
    await _queries.abandon_takeover.execute(conn, subscription_id=subscription_id, token=token)


async def has_taken_over(conn: Connection, subscription_id: UUID, tenant_id: UUID) -> bool:
    """Return whether a subscription has got this tenant from an ended one."""
    found = await _queries.has_taken_over.fetch_value(
        conn, subscription_id=subscription_id, tenant_id=tenant_id
    )
    return found is not None


async def get_stripe_id(conn: Connection, subscription_id: UUID) -> str | None:
    """Return Stripe's id of a subscription."""
    stripe_id: str | None = await _queries.get_stripe_id.fetch_value(
        conn, subscription_id=subscription_id
    )
    return stripe_id


async def exchange(
    conn: Connection,
    subscription_id: UUID,
    predecessor_id: UUID,
    token: UUID,
    now: datetime | None,
) -> bool:
    """Exchange the accounts, tenants and names of two subscriptions; False if the lease is lost.

    Of accounts, those that the predecessor still has; it gets the successor's for the same
    product types. Of names, the successor gets those that the predecessor holds.
    """
    both = {"subscription_id": subscription_id, "predecessor_id": predecessor_id}
    if await _queries.hold_works.fetch_value(conn, **both, token=token) is None:
        return False
    await _queries.park_services.execute(conn, **both)
    await _queries.take_services.execute(conn, **both, now=now)
    await _queries.give_parked_services.execute(conn, **both, now=now)
    taken = await _queries.release_tenant.fetch_value(conn, subscription_id=predecessor_id)
    given = await _queries.release_tenant.fetch_value(conn, subscription_id=subscription_id)
    for owner, tenant_id in ((subscription_id, taken), (predecessor_id, given)):
        await _queries.bind_tenant.execute(conn, subscription_id=owner, tenant_id=tenant_id)
    await _queries.drop_undecided_names.execute(conn, **both)
    await _queries.take_names.execute(conn, **both)
    await _queries.finish_takeover.execute(conn, **both, now=now)
    return True
