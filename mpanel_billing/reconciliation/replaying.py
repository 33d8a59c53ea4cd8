"""Events of Stripe's that the inbox lacks, received as if they came by webhook."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from mpanel_billing.database.pool import acquired
from mpanel_billing.mirror.differences import OBJECT
from mpanel_billing.reconciliation import repository
from mpanel_billing.reconciliation.comparing import ReconcileContext
from mpanel_billing.reconciliation.drift import Drift
from mpanel_billing.stripe_gateway.gateway import Page
from mpanel_billing.webhooks.batching import EventBatcher
from mpanel_billing.webhooks.event import parse_body, parse_event
from mpanel_billing.webhooks.inbox import FAILED


async def replay_page(context: ReconcileContext, page: Page) -> Sequence[Drift]:
    """Receive those of the listed events that are not in the inbox; each of them is a drift."""
    listed = {event["id"]: event for event in page.objects}
    async with acquired(context.mirror.pool) as conn:
        missing = await repository.list_missing_events(conn, list(listed))
    lost = [event for id_, event in listed.items() if id_ in missing]
    if context.dry_run:
        return [_drift(event, repaired=False) for event in lost]
    batcher = EventBatcher(context.mirror.pool)
    return await asyncio.gather(*(_receive(context, batcher, event) for event in lost))


async def _receive(
    context: ReconcileContext, batcher: EventBatcher, event: Mapping[str, Any]
) -> Drift:
    parsed = parse_event(parse_body(orjson.dumps(event)), livemode=context.mirror.livemode)
    outcome = await batcher.receive(parsed)
    return _drift(event, repaired=outcome.status != FAILED)


def _drift(event: Mapping[str, Any], *, repaired: bool) -> Drift:
    return Drift("event", event["id"], OBJECT, None, event["type"], repaired)
