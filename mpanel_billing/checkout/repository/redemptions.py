"""How many have what is limited, and who has redeemed which coupon."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from uuid import UUID

import asyncpg

from mpanel_billing.database.queries import Connection, load_queries

_limits = load_queries("limits")


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for what is limited, with which order.

    `vouched`: mPanel vouches that they are the customer.
    """

    subscription_id: UUID
    customer_id: UUID
    person_hash: bytes
    vouched: bool
    livemode: bool


@dataclass(frozen=True, slots=True)
class Taken:
    """How many other orders have it: the buyer's of the plan, all and the buyer's of the coupon.

    `own_orders` are all that the buyer has paid, `trials` those of the plan among them.
    """

    plans: int
    coupons: int
    own_coupons: int
    own_orders: int
    trials: int


async def lock_plan(conn: Connection, product_id: UUID) -> None:
    """Lock out other orders of a plan until the transaction ends."""
    await _limits.lock_plan.execute(conn, product_id=product_id)


async def lock_coupon(conn: Connection, code: str) -> None:
    """Lock out other orders with a coupon until the transaction ends."""
    await _limits.lock_coupon.execute(conn, code=code)


async def has_redeemed(conn: Connection, subscription_id: UUID, code: str) -> bool:
    """Return whether a subscription has had a coupon: ordered with it, or given it later."""
    had = await _limits.has_redeemed.fetch_value(
        conn, subscription_id=subscription_id, coupon_code=code
    )
    return bool(had)


async def list_redemptions_of_coupon(
    conn: Connection, code: str, most: int, *, livemode: bool
) -> Sequence[asyncpg.Record]:
    """Return who has had a coupon, the latest first: rows of `billing_redemptions`."""
    return await _limits.list_redemptions_of_coupon.fetch(
        conn, coupon_code=code, livemode=livemode, most=most
    )


async def list_redemptions_of_customer(
    conn: Connection, customer_id: UUID, most: int, *, livemode: bool
) -> Sequence[asyncpg.Record]:
    """Return the coupons that a customer has had, the latest first."""
    return await _limits.list_redemptions_of_customer.fetch(
        conn, customer_id=customer_id, livemode=livemode, most=most
    )


async def count_taken(
    conn: Connection, asking: Asking, product_id: UUID | None, coupon_code: str | None
) -> Taken:
    """Count what other orders have of the plan, and of the coupon, as far as they are named."""
    row = await _limits.count_taken.fetch_one(
        conn, **asdict(asking), product_id=product_id, coupon_code=coupon_code
    )
    assert row is not None  # noqa: S101 - an aggregate without GROUP BY has one row
    return Taken(**row)
