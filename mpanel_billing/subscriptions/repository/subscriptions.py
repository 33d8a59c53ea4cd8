"""Subscriptions that Stripe bills, and their revival."""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.subscriptions.paging import Span
from mpanel_billing.subscriptions.records import Subscription

_queries = load_queries("customer_records")
_takeovers = load_queries("takeovers")
_limits = load_queries("limits")


async def count_plans(
    conn: Connection, held: Subscription, product_id: UUID, code: str, *, livemode: bool
) -> int:
    """Count the customer's other subscriptions with a plan; locks other orders of it out.

    The lock is held until the transaction ends.
    """
    await _limits.lock_plan.execute(conn, product_id=product_id)
    count: int = await _limits.count_plans.fetch_value(
        conn,
        subscription_id=held.id,
        customer_id=held.customer_id,
        livemode=livemode,
        product_id=product_id,
        code=code,
    )
    return count


async def has_others_at_stripe(conn: Connection, subscription_id: UUID) -> bool:
    """Return whether its Stripe customer has, or had, or may yet get another subscription."""
    return bool(
        await _limits.has_others_at_stripe.fetch_value(conn, subscription_id=subscription_id)
    )


async def list_subscriptions(
    conn: Connection, customer_id: UUID, span: Span, *, livemode: bool
) -> list[Subscription]:
    """Return a customer's subscriptions, newest first."""
    rows = await _queries.list_subscription_ids.fetch(
        conn, customer_id=customer_id, livemode=livemode, **_bounds(span)
    )
    return await load_subscriptions(conn, [row["id"] for row in rows], livemode=livemode)


async def load_subscriptions(
    conn: Connection, ids: Sequence[UUID], *, livemode: bool
) -> list[Subscription]:
    """Return the subscriptions that Stripe bills in that mode, newest first."""
    rows = await _queries.list_subscriptions.fetch(conn, subscription_ids=ids, livemode=livemode)
    return [Subscription.of(row) for row in rows]


def _bounds(span: Span) -> dict[str, object]:
    return {
        "most": span.most,
        "before_at": span.after.at if span.after else None,
        "before_id": span.after.id if span.after else None,
    }


async def get_revival(
    conn: Connection, subscription_id: UUID, successor_id: UUID
) -> asyncpg.Record:
    """Return what a revival of an ended subscription depends on."""
    row = await _takeovers.get_revival.fetch_one(
        conn, subscription_id=subscription_id, successor_id=successor_id
    )
    assert row  # noqa: S101 - the caller has read the subscription
    return row


async def plan_revival(conn: Connection, subscription_id: UUID, successor_id: UUID) -> bool:
    """Insert the successor, unless it is there, which takes over once it is alive.

    False if another has taken over.
    """
    await _takeovers.insert_successor.execute(
        conn, subscription_id=subscription_id, successor_id=successor_id
    )
    planned = await _takeovers.plan_takeover.fetch_value(
        conn, subscription_id=successor_id, predecessor_id=subscription_id, reason="revived"
    )
    return planned is not None
