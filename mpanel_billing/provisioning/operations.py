"""What an operator does about provisioning: look, retry, suspend, lift, skip.

Each of them only changes what is wished, or gives a fresh start, and triggers the worker. `by` is
who asked for it, for the audit log; None: the service itself.
"""

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from mpanel_billing.access import audit
from mpanel_billing.access.actor import Actor
from mpanel_billing.access.audit import Target
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection, load_queries
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.jobs.queue import enqueue_provisioning

_queries = load_queries("operations")


async def find_subscription(pool: Pool, name: str) -> UUID:
    """Return the id of a subscription named by our id or Stripe's; NotFoundError if none is."""
    async with acquired(pool) as conn:
        found: UUID | None = await _queries.find_subscription.fetch_value(conn, name=name)
    if found is None:
        raise NotFoundError(f"There is no subscription {name}.")
    return found


async def list_stuck(pool: Pool) -> Sequence[asyncpg.Record]:
    """Return the subscriptions that are not as wished, or in trouble, and why."""
    async with acquired(pool) as conn:
        return await _queries.list_stuck.fetch(conn)


async def list_holds(pool: Pool) -> Sequence[asyncpg.Record]:
    """Return the suspensions by operators that stand."""
    async with acquired(pool) as conn:
        return await _queries.list_holds.fetch(conn)


async def list_services(pool: Pool, subscription_id: UUID) -> Sequence[asyncpg.Record]:
    """Return the services of a subscription as they are wished and are."""
    async with acquired(pool) as conn:
        return await _queries.list_services.fetch(conn, subscription_id=subscription_id)


async def list_calls(pool: Pool, subscription_id: UUID, most: int) -> Sequence[asyncpg.Record]:
    """Return the latest calls to drivers for a subscription, oldest first."""
    async with acquired(pool) as conn:
        return await _queries.list_calls.fetch(conn, subscription_id=subscription_id, most=most)


async def list_timeline(pool: Pool, subscription_id: UUID) -> Sequence[asyncpg.Record]:
    """Return all that is on record of a subscription: at, kind, what, detail."""
    async with acquired(pool) as conn:
        return await _queries.list_timeline.fetch(conn, subscription_id=subscription_id)


async def retry(pool: Pool, subscription_id: UUID, by: Actor | None = None) -> None:
    """Give what is not as wished a fresh start, what was refused or skipped included."""
    async with transaction(pool) as conn:
        await _queries.release_legs.execute(conn, subscription_id=subscription_id)
        await _trigger(conn, subscription_id)
        await audit.record(conn, by, "subscription.retry", _target(subscription_id))


async def retry_all(pool: Pool, by: Actor | None = None) -> int:
    """Retry every subscription that is stuck; answer how many there are."""
    stuck = [row["subscription_id"] for row in await list_stuck(pool) if row["unfinished"]]
    async with audit.attempt(pool, by, "provisioning.retry_all") as entry:
        for subscription_id in stuck:
            await retry(pool, subscription_id)
        entry.note(subscriptions=len(stuck))
    return len(stuck)


async def suspend(
    pool: Pool, subscription_id: UUID, *, reason: str, operator: str, by: Actor | None = None
) -> None:
    """Suspend all services until an operator lifts it; ConflictError if one has already."""
    async with transaction(pool) as conn:
        placed = await _queries.place_hold.fetch_value(
            conn, subscription_id=subscription_id, reason=reason, placed_by=operator
        )
        if placed is None:
            raise ConflictError("It is suspended by an operator already.")
        await _trigger(conn, subscription_id)
        details = {"reason": reason, "operator": operator}
        await audit.record(conn, by, "subscription.suspend", _target(subscription_id), details)


async def lift(pool: Pool, subscription_id: UUID, *, operator: str, by: Actor | None = None) -> str:
    """Lift an operator's suspension; answer its reason. ConflictError if there is none."""
    async with transaction(pool) as conn:
        reason: str | None = await _queries.lift_hold.fetch_value(
            conn, subscription_id=subscription_id, lifted_by=operator
        )
        if reason is None:
            raise ConflictError("No operator has suspended it.")
        await _trigger(conn, subscription_id)
        details = {"reason": reason, "operator": operator}
        await audit.record(conn, by, "subscription.lift", _target(subscription_id), details)
    return reason


async def skip(
    pool: Pool, subscription_id: UUID, product_type: str, by: Actor | None = None
) -> None:
    """Do without one service until what is wished of it changes, or somebody retries."""
    async with transaction(pool) as conn:
        skipped = await _queries.skip_leg.fetch_value(
            conn, subscription_id=subscription_id, product_type=product_type
        )
        if skipped is None:
            raise NotFoundError(f"The subscription has no service {product_type}.")
        await _trigger(conn, subscription_id)
        details = {"service": product_type}
        await audit.record(conn, by, "subscription.skip", _target(subscription_id), details)


async def settle_trouble(pool: Pool, subscription_id: UUID, by: Actor | None = None) -> None:
    """Take a sentence of trouble off the list, once a person has settled it."""
    async with transaction(pool) as conn:
        settled = await _queries.settle_trouble.fetch_value(conn, subscription_id=subscription_id)
        if settled is None:
            raise ConflictError("There is no trouble to settle.")
        await audit.record(conn, by, "subscription.settle", _target(subscription_id))


def _target(subscription_id: UUID) -> Target:
    return Target("subscription", str(subscription_id))


async def _trigger(conn: Connection, subscription_id: UUID) -> None:
    version = await _queries.renew_work.fetch_value(conn, subscription_id=subscription_id)
    if version is None:
        raise ConflictError("Stripe has not told of that subscription yet.")
    await enqueue_provisioning(conn, [(subscription_id, version)])
