"""Compare what Stripe has of usage with what it was sent."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from mpanel_billing.catalogue.usage import plain
from mpanel_billing.reconciliation.compare import ReconcileContext
from mpanel_billing.reconciliation.drift import Drift
from mpanel_billing.usage.comparing import (
    FIRST,
    Compared,
    Scope,
    Sent,
    compare,
    compare_sum,
    list_sent,
)

_LAG = timedelta(hours=1)
"""Stripe's sums can lag behind by minutes."""


async def list_sums(
    context: ReconcileContext, since: datetime | None, after: str | None
) -> tuple[Sequence[Sent], str | None]:
    """Return the next sums after a cursor, and the next cursor; None at the end."""
    mirror = context.mirror
    scope = Scope(mirror.livemode, _LAG, since=since)
    sent, last = await list_sent(mirror.pool, scope, _parse_cursor(after) if after else FIRST)
    return sent, None if last is None else f"{last[0]}/{last[1]}"


async def find_usage_drift(context: ReconcileContext, sent: Sent) -> list[Drift]:
    """Compare one sum with Stripe's."""
    return _drift_of(await compare_sum(context.mirror.stripe, sent))


async def find_usage_drift_of(context: ReconcileContext, subscription_id: UUID) -> list[Drift]:
    """Compare the sums of one subscription."""
    mirror = context.mirror
    scope = Scope(mirror.livemode, _LAG, subscription_id)
    found = [each async for each in compare(mirror.pool, mirror.stripe, scope)]
    return [drift for each in found for drift in _drift_of(each)]


def _drift_of(compared: Compared) -> list[Drift]:
    if not compared.differs:
        return []
    sent, found = compared.sent, compared.found
    return [
        Drift(
            "usage",
            sent.stripe_subscription_id,
            f"{sent.meter} from {sent.since:%Y-%m-%d %H:%M} to {sent.until:%Y-%m-%d %H:%M}",
            str(sent.quantity),
            None if found is None else plain(found),
            repaired=False,
        )
    ]


def _parse_cursor(cursor: str) -> tuple[UUID, str]:
    subscription_id, _, meter = cursor.partition("/")
    return UUID(subscription_id), meter
