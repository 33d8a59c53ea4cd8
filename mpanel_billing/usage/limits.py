"""Limits of usage that suspend: provisioning follows what was used, as it follows the mirror.

No row says that a limit holds a subscription: each run of provisioning reads what was used of the
present term (`billing_usage_limits`). What is here only triggers runs, and lifts a limit.
"""

from collections.abc import Collection
from uuid import UUID

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import ConflictError
from mpanel_billing.jobs.queue import enqueue_provisioning
from mpanel_billing.subscriptions.promise import preview_outdated
from mpanel_billing.usage import repository


async def follow_limits(conn: Connection, subscription_ids: Collection[UUID]) -> None:
    """Trigger those of the subscriptions whose limit suspends and has not, or does no longer."""
    await enqueue_provisioning(conn, await repository.renew_limited(conn, subscription_ids))


async def free_limited(pool: Pool, most: int) -> int:
    """Trigger those that are suspended for a limit, and no longer should be; return how many."""
    async with transaction(pool) as conn:
        freed = await repository.renew_freed(conn, most)
        await enqueue_provisioning(conn, freed)
    return len(freed)


async def lift_limits(
    pool: Pool,
    subscription_id: UUID,
    reason: str,
    by: Actor,
    *,
    shown: Collection[str] | None = None,
) -> list[str]:
    """Let a subscription go on for the rest of its term; return the meters whose limit it reached.

    Repeated, it has no further effect. ConflictError if no limit suspends it, or that of another
    meter than were `shown`.
    """
    async with transaction(pool) as conn:
        meters = await repository.lift_limits(conn, subscription_id, by.name, reason)
        if not meters:
            return await _require_lifted(conn, subscription_id)
        if shown is not None and not set(meters) <= set(shown):
            raise preview_outdated()
        await follow_limits(conn, [subscription_id])
        details = {"meters": meters, "reason": reason}
        target = Target("subscription", str(subscription_id))
        await audit.record(conn, by, "usage.lift", target, details)
    return meters


async def _require_lifted(conn: Connection, subscription_id: UUID) -> list[str]:
    meters = await repository.list_lifted(conn, subscription_id)
    if not meters:
        raise ConflictError("No usage limit suspends this subscription.", code="no_limit_reached")
    return meters
