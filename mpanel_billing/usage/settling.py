"""Usage that Stripe does not bill, which a person deals with."""

from contextlib import suppress
from uuid import UUID

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.database.queries import Connection
from mpanel_billing.errors import NotFoundError
from mpanel_billing.usage import repository


async def settle(pool: Pool, event: str, reason: str, by: Actor) -> None:
    """Note what became of usage that came too late, or that Stripe refused or dropped.

    `event` is a meter event of ours, or Stripe's event that reports some. NotFoundError if no such
    event waits for that.
    """
    async with transaction(pool) as conn:
        target = await _settle(conn, event, reason, by)
        if target is None:
            raise NotFoundError("There is no such usage to settle.", code="unknown_meter_event")
        details = {"event": event, "reason": reason}
        await audit.record(conn, by, "usage.settle", target, details)


async def _settle(conn: Connection, event: str, reason: str, by: Actor) -> Target | None:
    with suppress(ValueError):
        found = await repository.settle_event(conn, UUID(event), by.name, reason)
        return Target("subscription", str(found)) if found else None
    is_settled = await repository.settle_report(conn, event, by.name)
    return Target("event", event) if is_settled else None
