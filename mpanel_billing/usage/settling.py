"""Usage that Stripe does not bill, which a person deals with."""

from uuid import UUID

from mpanel_billing.access import audit
from mpanel_billing.access.audit import Actor, Target
from mpanel_billing.database.pool import Pool, transaction
from mpanel_billing.errors import NotFoundError
from mpanel_billing.usage import repository


async def settle(pool: Pool, event_id: UUID, reason: str, by: Actor) -> None:
    """Note what became of usage that came too late, or that Stripe refused.

    NotFoundError if no such event waits for that.
    """
    async with transaction(pool) as conn:
        found = await repository.settle_event(conn, event_id, by.name, reason)
        if found is None:
            raise NotFoundError("No such usage is to be settled.", code="unknown_meter_event")
        details = {"meterEvent": str(event_id), "reason": reason}
        await audit.record(conn, by, "usage.settle", Target("subscription", str(found)), details)
