"""Receive events from Stripe's list as if a webhook had delivered them."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson

from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import StripeObjectMissingError, StripeObjectUnreadableError
from mpanel_billing.mirror.differences import OBJECT
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.mirror.repository import list_compared
from mpanel_billing.mirror.types.checkout_session import CHECKOUT_SESSION
from mpanel_billing.mirror.types.subscription import SUBSCRIPTION
from mpanel_billing.reconciliation import repository
from mpanel_billing.reconciliation.drift import Announce, Drift, unannounced
from mpanel_billing.webhooks.batching import EventBatcher
from mpanel_billing.webhooks.event import parse_body, parse_event
from mpanel_billing.webhooks.inbox import FAILED


async def replay_events(
    mirror: Mirror,
    listed: Sequence[Mapping[str, Any]],
    *,
    dry_run: bool = False,
    fetch_unknown: bool = False,
    announce: Announce = unannounced,
) -> Sequence[Drift]:
    """Receive the listed events that the inbox does not have; each is drift.

    With `fetch_unknown`, subscriptions that they name and that have no row are fetched first. After
    a restored backup they were here before: only a fetched subscription shows whose order it is,
    and has its accounts looked for before any is created.
    """
    by_id = {event["id"]: event for event in listed}
    async with acquired(mirror.pool) as conn:
        missing = await repository.list_missing_events(conn, list(by_id))
    not_received = [event for id_, event in by_id.items() if id_ in missing]
    if dry_run:
        return [_event_drift(event, repaired=False) for event in not_received]
    await announce([_event_drift(event, repaired=True) for event in not_received])
    if fetch_unknown:
        await _fetch_unknown_subscriptions(mirror, not_received)
    batcher = EventBatcher(mirror.pool)
    return await asyncio.gather(*(_receive_event(mirror, batcher, e) for e in not_received))


async def _fetch_unknown_subscriptions(mirror: Mirror, events: Sequence[Mapping[str, Any]]) -> None:
    named = {id_ for event in events if (id_ := _named_subscription(event))}
    async with acquired(mirror.pool) as conn:
        known = await list_compared(conn, SUBSCRIPTION.object_type, sorted(named))
    for id_ in sorted(named - known.keys()):
        with suppress(StripeObjectMissingError, StripeObjectUnreadableError):
            await mirror.refresh(SUBSCRIPTION.object_type, id_)


def _named_subscription(event: Mapping[str, Any]) -> str | None:
    """Return the subscription of an event about it, or about its session.

    Both need its order, and pages are read side by side: that of the session may be the first.
    """
    about: Mapping[str, Any] = event["data"]["object"]
    if event["type"] in SUBSCRIPTION.event_types:
        return str(about["id"])
    if event["type"] not in CHECKOUT_SESSION.event_types:
        return None
    named = about.get("subscription")
    return named if isinstance(named, str) else None


async def _receive_event(mirror: Mirror, batcher: EventBatcher, event: Mapping[str, Any]) -> Drift:
    parsed = parse_event(parse_body(orjson.dumps(event)), livemode=mirror.livemode)
    outcome = await batcher.receive(parsed)
    return _event_drift(event, repaired=outcome.status != FAILED)


def _event_drift(event: Mapping[str, Any], *, repaired: bool) -> Drift:
    return Drift("event", event["id"], OBJECT, None, event["type"], repaired)
