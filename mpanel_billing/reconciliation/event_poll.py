"""Ask Stripe for events while buyers are on a payment page and no webhook arrives.

If webhooks are lost and the buyer has closed the browser, nothing else shows that the order is
paid until the nightly reconcile.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from mpanel_billing.database.pool import acquired
from mpanel_billing.errors import StripeError
from mpanel_billing.mirror.mirror import Mirror
from mpanel_billing.reconciliation import repository
from mpanel_billing.reconciliation.replay import replay_events
from mpanel_billing.reconciliation.repository import Poll
from mpanel_billing.stripe_gateway.objects import EVENTS

logger = logging.getLogger(__name__)

POLLED_TYPES = (
    "checkout.session.async_payment_failed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.completed",
    "checkout.session.expired",
    "customer.created",
    "customer.subscription.created",
    "customer.subscription.deleted",
    "customer.subscription.paused",
    "customer.subscription.resumed",
    "customer.subscription.updated",
    "invoice.created",
    "invoice.finalized",
    "invoice.paid",
    "invoice.payment_failed",
    "invoice.updated",
    "invoice_payment.paid",
)
"""What decides whether an order is served; Stripe takes twenty types in one request."""

QUIET_SECONDS = 60.0
"""Webhooks count as missing after this long without one."""

INTERVAL_SECONDS = 50.0
"""Less than the schedule's minute, which is not exact."""

MOST_PAGES = 10
"""Of a hundred events each; what is older is left to the nightly reconcile."""

_OVERLAP = timedelta(minutes=5)
"""Read again each time: our clock may differ from Stripe's, and its list may lag."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """Events from Stripe's list; those created until `read_until` are all there."""

    events: Sequence[Mapping[str, Any]]
    read_until: datetime


async def poll_events(mirror: Mirror) -> int:
    """Receive what no webhook has delivered; return how many events that were.

    Does nothing unless a Checkout session is open and no webhook has come for a minute. One worker
    asks, once a minute. If Stripe cannot be asked, the next minute tries again.
    """
    async with acquired(mirror.pool) as conn:
        poll = await repository.claim_poll(
            conn,
            livemode=mirror.livemode,
            quiet_seconds=QUIET_SECONDS,
            interval_seconds=INTERVAL_SECONDS,
        )
    if poll is None:
        return 0
    try:
        listed = await _list_events(mirror, _since(poll))
    except StripeError as error:
        logger.warning("no webhooks arrive, and Stripe cannot be asked for events: %s", error)
        return 0
    found = len(await replay_events(mirror, listed.events))
    async with acquired(mirror.pool) as conn:
        await repository.finish_poll(
            conn, poll, livemode=mirror.livemode, read_until=listed.read_until, found=found
        )
    if found:
        logger.warning("webhooks are missing: received %d events from Stripe's list", found)
    return found


def _since(poll: Poll) -> datetime:
    """Return from when on events may be missing: nothing of an open order is older than it."""
    known = [moment for moment in (poll.waiting_since, poll.read_until) if moment is not None]
    return max(known) - _OVERLAP


async def _list_events(mirror: Mirror, since: datetime) -> _Listed:
    """List the events created since then, in the order in which they were created."""
    params = {"types": list(POLLED_TYPES), "created": {"gte": int(since.timestamp())}}
    page = await mirror.stripe.list_page(EVENTS, params)
    events, read_until = list(page.objects), page.since
    for _ in range(MOST_PAGES - 1):
        if not page.has_more:
            break
        after = {"starting_after": page.objects[-1]["id"]}
        page = await mirror.stripe.list_page(EVENTS, {**params, **after})
        events += page.objects
    return _Listed(events[::-1], read_until)
