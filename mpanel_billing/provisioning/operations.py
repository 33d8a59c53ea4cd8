"""An operator's actions on provisioning: list, retry, suspend, lift, skip, adopt.

Each only changes the desired state or resets attempts, and triggers the worker. `by` is who asked
for it, for the audit log; None: the service itself.
"""

from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from uuid import UUID

import asyncpg

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pages import FIRST_ID, PAGE, read_pages
from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError, NotFoundError
from mpanel_billing.jobs.queue import enqueue_provisioning
from mpanel_billing.provisioning.repository import moves, takeovers
from mpanel_billing.provisioning.repository import operations as repository
from mpanel_billing.provisioning.timeline import (
    EVERYTHING,
    Reader,
    TimelineEntry,
    in_order,
    read_entry,
)

_PAGE = 500
"""Subscriptions that are triggered in one transaction."""


async def find_subscription(pool: Pool, name: str) -> UUID:
    """Return the subscription's id, given our id or Stripe's; NotFoundError if there is none."""
    async with acquired(pool) as conn:
        found = await repository.find_subscription(conn, name)
    if found is None:
        raise NotFoundError(f"Subscription {name} not found.")
    return found


async def list_stuck(
    pool: Pool, after: UUID | None = None, most: int = PAGE
) -> Sequence[asyncpg.Record]:
    """Return the subscriptions that are not as desired, or in trouble, and why.

    By id, the first `most` of those after the last one of the page before.
    """
    async with acquired(pool) as conn:
        return await repository.list_stuck(conn, after or FIRST_ID, most)


async def list_all_stuck(pool: Pool) -> Sequence[asyncpg.Record]:
    """Return all that are stuck, read page by page."""
    return await read_pages(partial(list_stuck, pool))


async def list_holds(pool: Pool) -> Sequence[asyncpg.Record]:
    """Return the operators' suspensions that are in force."""
    async with acquired(pool) as conn:
        return await repository.list_holds(conn)


async def get_hold(pool: Pool, subscription_id: UUID) -> asyncpg.Record | None:
    """Return the operator's suspension of a subscription that is in force, if there is one."""
    async with acquired(pool) as conn:
        return await repository.get_hold(conn, subscription_id)


async def list_services(pool: Pool, subscription_id: UUID) -> Sequence[asyncpg.Record]:
    """Return the desired and actual state of a subscription's services."""
    async with acquired(pool) as conn:
        return await repository.list_services(conn, subscription_id)


async def list_calls(pool: Pool, subscription_id: UUID, most: int) -> Sequence[asyncpg.Record]:
    """Return the latest calls to drivers for a subscription, oldest first."""
    async with acquired(pool) as conn:
        return await repository.list_calls(conn, subscription_id, most)


async def list_timeline(
    pool: Pool, subscription_id: UUID, reader: Reader = EVERYTHING
) -> Sequence[TimelineEntry]:
    """Return everything on record about a subscription, oldest first."""
    return await list_stories(pool, [subscription_id], reader)


async def list_stories(
    pool: Pool, subscription_ids: Sequence[UUID], reader: Reader = EVERYTHING
) -> Sequence[TimelineEntry]:
    """Return everything on record about subscriptions, oldest first; what they share once."""
    async with acquired(pool) as conn:
        rows = await repository.list_timeline(conn, subscription_ids)
    return in_order(dict.fromkeys(read_entry(dict(row), reader) for row in rows))


async def retry(pool: Pool, subscription_id: UUID, by: Actor | None = None) -> None:
    """Try again at once, including services that were refused or skipped."""
    async with transaction(pool) as conn:
        await repository.release_services(conn, subscription_id)
        await moves.release_moves(conn, subscription_id)
        await trigger(conn, subscription_id)
        await audit.record(conn, by, "subscription.retry", _target(subscription_id))


async def retry_all(pool: Pool, by: Actor | None = None) -> int:
    """Retry every subscription that is stuck, and is still there; return their number."""
    stuck = [row["subscription_id"] for row in await list_all_stuck(pool) if row["unfinished"]]
    retried = 0
    async with audit.attempt(pool, by, "provisioning.retry_all") as entry:
        for subscription_id in stuck:
            with suppress(ConflictError):  # mPanel has deleted its row since
                await retry(pool, subscription_id)
                retried += 1
        entry.note(subscriptions=retried)
    return retried


async def suspend(
    pool: Pool, subscription_id: UUID, *, reason: str, operator: str, by: Actor | None = None
) -> None:
    """Suspend all services until an operator lifts it; ConflictError if already suspended."""
    async with transaction(pool) as conn:
        if not await repository.place_hold(conn, subscription_id, reason=reason, operator=operator):
            raise ConflictError("An operator has already suspended this subscription.")
        await trigger(conn, subscription_id)
        details = {"reason": reason, "operator": operator}
        await audit.record(conn, by, "subscription.suspend", _target(subscription_id), details)


async def lift(pool: Pool, subscription_id: UUID, *, operator: str, by: Actor | None = None) -> str:
    """Lift an operator's suspension and return its reason; ConflictError if there is none."""
    async with transaction(pool) as conn:
        reason = await repository.lift_hold(conn, subscription_id, operator=operator)
        if reason is None:
            raise ConflictError("No operator has suspended this subscription.")
        await trigger(conn, subscription_id)
        details = {"reason": reason, "operator": operator}
        await audit.record(conn, by, "subscription.lift", _target(subscription_id), details)
    return reason


async def get_outside_price(pool: Pool, id_: str) -> asyncpg.Record:
    """Return how many have a price, by its id or an item's, and why it is ignored, if it is."""
    async with acquired(pool) as conn:
        return await repository.get_outside_price(conn, id_)


async def list_ignored_prices(pool: Pool, most: int) -> Sequence[asyncpg.Record]:
    """Return the prices that give nothing, the latest first, each with its reason."""
    async with acquired(pool) as conn:
        return await repository.list_ignored_prices(conn, most)


async def ignore_price(
    pool: Pool, stripe_price_id: str, *, reason: str, operator: str, by: Actor | None = None
) -> int:
    """Ignore a price outside the catalogue: its items provide nothing, and are no trouble.

    A repeat triggers what a broken-off command has not. Returns how many subscriptions are checked
    again; ConflictError if the catalogue has the price or its product.
    """
    async with transaction(pool) as conn:
        if not await repository.ignore_price(conn, stripe_price_id, reason, operator):
            raise ConflictError(f"{stripe_price_id} is a price of a product in the catalogue.")
        details = {"reason": reason, "operator": operator}
        await audit.record(conn, by, "price.ignore", Target("price", stripe_price_id), details)
    return await _trigger_price(pool, stripe_price_id)


async def heed_price(pool: Pool, stripe_price_id: str, by: Actor | None = None) -> int:
    """Take back that items at a price give nothing.

    Returns how many subscriptions are checked again; ConflictError if it was not ignored.
    """
    async with transaction(pool) as conn:
        reason = await repository.heed_price(conn, stripe_price_id)
        if reason is None:
            raise ConflictError(f"{stripe_price_id} is not ignored.")
        await audit.record(
            conn, by, "price.heed", Target("price", stripe_price_id), {"reason": reason}
        )
    return await _trigger_price(pool, stripe_price_id)


async def _trigger_price(pool: Pool, stripe_price_id: str) -> int:
    triggered, after = 0, FIRST_ID
    while True:
        async with transaction(pool) as conn:
            page = await repository.renew_works_of_price(conn, stripe_price_id, after, _PAGE)
            works = [(id_, version) for id_, version in page if version is not None]
            await enqueue_provisioning(conn, works)
        if not page:
            return triggered
        triggered, after = triggered + len(works), page[-1][0]


async def skip(
    pool: Pool, subscription_id: UUID, product_type: str, by: Actor | None = None
) -> None:
    """Leave one service as it is until its desired state changes or it is retried."""
    async with transaction(pool) as conn:
        if not await repository.skip_service(conn, subscription_id, product_type):
            raise NotFoundError(f"This subscription has no service {product_type}.")
        await trigger(conn, subscription_id)
        details = {"service": product_type}
        await audit.record(conn, by, "subscription.skip", _target(subscription_id), details)


async def adopt(
    pool: Pool, subscription_id: UUID, tenant_id: UUID, by: Actor | None = None
) -> None:
    """Give a subscription the tenant and the accounts of the same customer's ended one.

    The ended one gets its accounts instead, which are suspended, and terminated after retention.
    Repeated, it has no further effect. NotFoundError, ConflictError.
    """
    async with transaction(pool) as conn:
        found = await takeovers.find_ended_tenant(conn, subscription_id, tenant_id=tenant_id)
        if found is None:
            if await takeovers.has_taken_over(conn, subscription_id, tenant_id):
                return
            raise NotFoundError(f"Tenant {tenant_id} belongs to no other subscription.")
        _refuse_takeover(found)
        predecessor_id = found["predecessor_id"]
        if not await takeovers.plan_takeover(conn, subscription_id, predecessor_id, "adopted"):
            raise ConflictError("This subscription or this tenant has been taken over before.")
        await trigger(conn, subscription_id)
        details = {"tenant": str(tenant_id), "predecessor": str(predecessor_id)}
        await audit.record(conn, by, "subscription.adopt", _target(subscription_id), details)


async def list_adoptable(pool: Pool, subscription_id: UUID) -> Sequence[asyncpg.Record]:
    """Return the tenants of the same customer that a subscription can take over now."""
    async with acquired(pool) as conn:
        return await takeovers.list_adoptable(conn, subscription_id)


def _refuse_takeover(found: takeovers.Candidate) -> None:
    if not found["same_customer"]:
        raise ConflictError("The tenant belongs to another customer.")
    if not found["has_ended"]:
        raise ConflictError("The subscription of this tenant has not ended.")
    if found["is_held"]:
        raise ConflictError("An operator has suspended the subscription of this tenant.")
    if not found["has_accounts"]:
        raise ConflictError("The accounts of this tenant have been terminated.")
    if not found["is_alive"]:
        raise ConflictError("The subscription that is to take over is not paid, or has ended.")


async def settle_trouble(pool: Pool, subscription_id: UUID, by: Actor | None = None) -> None:
    """Clear a subscription's trouble that an operator has settled."""
    async with transaction(pool) as conn:
        if not await repository.settle_trouble(conn, subscription_id):
            raise ConflictError("This subscription has no trouble to settle.")
        await audit.record(conn, by, "subscription.settle", _target(subscription_id))


def _target(subscription_id: UUID) -> Target:
    return Target("subscription", str(subscription_id))


async def trigger(conn: Connection, subscription_id: UUID) -> None:
    """Have the worker look at a subscription; ConflictError if Stripe has not reported it yet."""
    version = await repository.renew_work(conn, subscription_id)
    if version is None:
        raise ConflictError("Stripe has not reported this subscription yet.")
    await enqueue_provisioning(conn, [(subscription_id, version)])
