"""Continuing, paid subscriptions, and the events of a usual month."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mpanel_billing.mirror.service import APPLIED
from mpanel_billing.webhooks.event import Event, parse_event
from mpanel_billing.webhooks.fast_path import receive_on_fast_path
from mpanel_billing.webhooks.jsonb import Body
from mpanel_billing.webhooks.prepared import prepare_event
from tests import stripe_objects as made
from tests.inbox import Inbox

NOW = 1_790_000_000
LATER = NOW + 60
MONTH = 2_592_000


def event_of(type_: str, about: Mapping[str, Any], *, created: int = LATER) -> Event:
    return parse_event(Body.of(made.event(type_, about, created=created)), livemode=False)


def renewal(stripe_id: str = "sub_1", *, created: int = LATER, **more: Any) -> Event:
    """The subscription renews: only its period changes."""
    number = stripe_id.removeprefix("sub_")
    about = {"customer": f"cus_{number}", "start": created, "end": created + MONTH} | more
    return event_of(
        "customer.subscription.updated", made.subscription(stripe_id, **about), created=created
    )


def bill(stripe_id: str = "in_2", *, created: int = LATER, **more: Any) -> Event:
    return event_of("invoice.paid", made.invoice(stripe_id, **more), created=created)


WRITTEN = ("stripe_events", "subscriptions", "subscription_items", "invoices", "stripe_refetches")
"""The tables that the fast path writes."""


@dataclass(frozen=True)
class Pair:
    """The inbox, and a pair of subscriptions, sub_1 and sub_2, active and paid."""

    inbox: Inbox

    async def receive_on_fast_path(self, *events: Event) -> set[str]:
        ready = [event for event in map(prepare_event, events) if event]
        assert len(ready) == len(events)
        async with self.inbox.pool.acquire() as conn:
            received = await receive_on_fast_path(conn, ready)
        return {id_ for id_, outcome in received.outcomes.items() if outcome == APPLIED}

    async def rows(self) -> Mapping[str, list[Mapping[str, Any]]]:
        return {
            table: [dict(row) for row in await self.inbox.pool.fetch(f"TABLE {table} ORDER BY 1")]
            for table in WRITTEN
        }
