"""Holds of services while the collection of a subscription is paused."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired, transaction
from mpanel_billing.jobs.queue import enqueue_provisioning
from mpanel_billing.provisioning.repository.operations import renew_work
from mpanel_billing.subscriptions import repository


async def place_pause(pool: Pool, subscription_id: UUID, span: Mapping[str, Any]) -> None:
    """Hold the services from the end of the paid term on; `span` has Unix seconds."""
    since, until = (datetime.fromtimestamp(span[name], UTC) for name in ("since", "until"))
    async with acquired(pool) as conn:
        await repository.pauses.place_pause(conn, subscription_id, since, until)


async def withdraw_pause(pool: Pool, subscription_id: UUID) -> None:
    """Forget a pause that Stripe has refused."""
    async with acquired(pool) as conn:
        await repository.pauses.withdraw_pause(conn, subscription_id)


async def end_pause(pool: Pool, subscription_id: UUID, until: int) -> None:
    """Hold the services no longer than until a term begins at `until` (Unix seconds) or later."""
    async with acquired(pool) as conn:
        await repository.pauses.end_pause(conn, subscription_id, datetime.fromtimestamp(until, UTC))


async def turn_pauses(pool: Pool, most: int) -> int:
    """Begin and end holds as terms begin, and trigger the work; return how many have turned."""
    async with transaction(pool) as conn:
        turned = await repository.pauses.turn_pauses(conn, most)
        for subscription_id in turned:
            version = await renew_work(conn, subscription_id)
            if version is not None:
                await enqueue_provisioning(conn, [(subscription_id, version)])
    return len(turned)
