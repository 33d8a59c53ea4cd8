"""Compares what Stripe has of usage with what it was sent; nothing is changed.

Of each meter of a subscription: the present term, and the one before it if something was used then;
of either the last 35 days, up to what was not sent yet.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from mpanel_billing.database.pool import Pool, acquired
from mpanel_billing.errors import StripeObjectMissingError
from mpanel_billing.stripe_gateway.gateway import StripeGateway
from mpanel_billing.usage import repository

PAGE = 50
"""So many meters are compared in a page, each with two calls to Stripe at most."""

Cursor = tuple[UUID, str]
"""A subscription and a meter."""

FIRST: Cursor = (UUID(int=0), "")


@dataclass(frozen=True, slots=True)
class Scope:
    """What is compared: all, or one subscription; not what was used before `since`.

    What was used or sent in the last `lag` is left out: Stripe's sums may not have it yet.
    """

    livemode: bool
    lag: timedelta
    subscription_id: UUID | None = None
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """What Stripe was sent of a subscription and meter between two whole minutes."""

    subscription_id: UUID
    stripe_subscription_id: str
    stripe_customer_id: str
    meter: str
    stripe_meter_id: str
    since: datetime
    until: datetime
    quantity: int


@dataclass(frozen=True, slots=True)
class Compared:
    """What was sent, and what Stripe has; None if it knows the meter or the customer no more."""

    sent: Sent
    found: Decimal | None

    @property
    def differs(self) -> bool:
        """Whether Stripe would bill another quantity."""
        return self.found != self.sent.quantity


async def list_sent(
    pool: Pool, scope: Scope, after: Cursor
) -> tuple[Sequence[Sent], Cursor | None]:
    """Return what was sent of the next meters after one, and the last of them; None at the end."""
    async with acquired(pool) as conn:
        rows = await repository.list_sent(
            conn,
            after,
            PAGE,
            lag_seconds=scope.lag.total_seconds(),
            subscription_id=scope.subscription_id,
            since=scope.since,
            livemode=scope.livemode,
        )
    names = [each.name for each in fields(Sent)]
    sent = [Sent(**{name: row[name] for name in names}) for row in rows if row["is_compared"]]
    last = (rows[-1]["subscription_id"], rows[-1]["meter"]) if rows else None
    return sent, last


async def compare_sum(stripe: StripeGateway, sent: Sent) -> Compared:
    """Ask Stripe for its sum; raises StripeError."""
    named = sent.stripe_meter_id, sent.stripe_customer_id
    try:
        return Compared(sent, await stripe.get_usage(*named, sent.since, sent.until))
    except StripeObjectMissingError:
        return Compared(sent, None)


async def compare(pool: Pool, stripe: StripeGateway, scope: Scope) -> AsyncIterator[Compared]:
    """Compare one sum after the other; raises StripeError."""
    after: Cursor | None = FIRST
    while after is not None:
        sent, after = await list_sent(pool, scope, after)
        for one in sent:
            yield await compare_sum(stripe, one)
