"""Compares what Stripe has of usage with what it was sent; nothing is changed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from mpanel_billing.database.pool import acquired
from mpanel_billing.jobs.pace import Pace
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.stripe_gateway.meter_events import get_usage
from mpanel_billing.usage import repository


@dataclass(frozen=True, slots=True)
class Sent:
    """What Stripe was sent of a subscription and meter between two whole minutes."""

    subscription_id: UUID
    stripe_customer_id: str
    meter: str
    stripe_meter_id: str
    since: datetime
    until: datetime
    quantity: int


@dataclass(frozen=True, slots=True)
class Compared:
    """What was sent, and what Stripe has."""

    sent: Sent
    found: Decimal

    @property
    def differs(self) -> bool:
        """Whether Stripe would bill another quantity."""
        return self.found != self.sent.quantity


async def compare(
    mirror: Mirror, pace: Pace, subscription_id: UUID | None = None
) -> AsyncIterator[Compared]:
    """Compare the present terms of one subscription, or of all; one call for each meter.

    What waits to be sent is left out. Raises StripeError.
    """
    async with acquired(mirror.pool) as conn:
        rows = await repository.list_sent(conn, subscription_id, livemode=mirror.livemode)
    for sent in (Sent(**row) for row in rows):
        await pace.turn()
        named = sent.stripe_meter_id, sent.stripe_customer_id
        yield Compared(sent, await get_usage(mirror.stripe, *named, sent.since, sent.until))
