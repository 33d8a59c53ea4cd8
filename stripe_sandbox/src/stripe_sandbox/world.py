"""Everything that a request or a tick of a clock works with."""

import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Literal

import stripe

from stripe_sandbox import shapes
from stripe_sandbox.documents import Document, IdSource, ReadOnly, id_of
from stripe_sandbox.errors import no_such
from stripe_sandbox.outbox import Outbox
from stripe_sandbox.shapes import as_sent
from stripe_sandbox.store import Store

API_VERSION = stripe.api_version

WALL_CLOCK = "_wall_clock"
"""How many seconds the sandbox is ahead of real time, kept like any object."""

NOUNS = {
    "promotion_code": "promotion code",
    "test_helpers.test_clock": "test clock",
    "webhook_endpoint": "webhook endpoint",
}
"""How an object is called in messages where it is not by its own name."""

EVENT_PREFIXES = {"subscription": "customer.subscription"}
"""How the events of an object are called where it is not by the object's own name."""


@dataclass(frozen=True)
class Dunning:
    """What happens after a failed renewal: days between attempts, and what the last failure does.

    Stripe keeps these in the Dashboard, per account.
    """

    retry_days: tuple[int, ...] = (3, 5, 7)
    final: Literal["cancel", "unpaid", "past_due"] = "cancel"


@dataclass(frozen=True)
class Origin:
    """The request that causes events: its id, and its idempotency key."""

    id: str | None = None
    idempotency_key: str | None = None


@dataclass
class World:
    """The objects, the ids and the time, and how objects are made, found and changed.

    `base_url` is where the hosted pages live. `origin` is the request being worked on, and
    `same_second` the one time that all events are given while that disturbance is on.
    """

    store: Store
    ids: IdSource
    outbox: Outbox
    base_url: str
    dunning: Dunning
    origin: Origin = field(default_factory=Origin)
    same_second: int | None = None

    def now(self, clock_id: str | None = None) -> int:
        """Return the Unix time that the test clock shows, or the wall clock's without one."""
        if clock_id:
            clock = self.store.peek("test_helpers.test_clock", clock_id)
            if clock:
                return int(clock["frozen_time"])
        wall_clock = self.store.peek(WALL_CLOCK, WALL_CLOCK) or {"seconds_ahead": 0}
        return int(time.time()) + int(wall_clock["seconds_ahead"])

    def set_wall_clock(self, moment: int) -> None:
        """Let it be this Unix time for all that lives by no test clock; time goes on from there."""
        ahead = moment - int(time.time())
        self.store.put(WALL_CLOCK, {"id": WALL_CLOCK, "seconds_ahead": ahead})

    def clock_of(self, document: ReadOnly) -> str | None:
        """Return the id of the test clock that the object lives by, its own or its customer's."""
        if document.get("test_clock"):
            return id_of(document["test_clock"])
        customer_id = id_of(document.get("customer"))
        customer = self.store.peek("customer", customer_id) if customer_id else None
        return customer.get("test_clock") if customer else None

    def time_of(self, document: ReadOnly) -> int:
        """Return the present time of the object, by its own clock."""
        return self.now(self.clock_of(document))

    def find(self, kind: str, object_id: str, param: str = "id") -> Document:
        """Return a copy of the object; raises ApiError `resource_missing` naming the param."""
        document = self.store.get(kind, object_id)
        if document is None:
            raise no_such(NOUNS.get(kind, kind), object_id, param)
        return document

    def add(self, values: Mapping[str, Any]) -> Document:
        """Keep a new object, completed to its full shape, and return it."""
        document = shapes.complete(deepcopy(dict(values)))
        self.store.put(document["object"], document)
        return document

    def save(self, document: Document) -> Document:
        """Keep the object as it is now, quietly, and return it completed."""
        return self.add(document)

    def change(self, document: Document, event: str | None = None) -> Document:
        """Keep the object as it is now and announce what differs, if anything does.

        The event is `<object>.updated` unless another is named, and carries `previous_attributes`.
        """
        before = self.store.get(document["object"], document["id"])
        after = self.add(document)
        previous = _differences(before or {}, after)
        if previous:
            name = event or f"{EVENT_PREFIXES.get(after['object'], after['object'])}.updated"
            self.announce(name, after, previous=previous)
        return after

    def announce(
        self, name: str, document: ReadOnly, *, previous: Document | None = None
    ) -> Document:
        """Make an event about the object as it is now, and owe it to the webhook endpoints.

        It is dated by the object's clock, so that the order of `created` tells the order of
        happening under a test clock too.
        """
        data: Document = {"object": as_sent(dict(document))}
        if previous is not None:
            data["previous_attributes"] = previous
        event = shapes.complete(
            {
                "id": self.ids.next("evt"),
                "object": "event",
                "api_version": API_VERSION,
                "created": self.same_second or self.time_of(document),
                "data": data,
                "livemode": False,
                "pending_webhooks": 0,
                "request": {
                    "id": self.origin.id,
                    "idempotency_key": self.origin.idempotency_key,
                },
                "type": name,
            }
        )
        event["pending_webhooks"] = self.outbox.plan(event)
        self.store.put("event", event)
        return event


def _differences(before: ReadOnly, after: ReadOnly) -> Document:
    """Return what the changed fields were, null for new ones; of a nested object only its part."""
    changed = [key for key in {**after, **before} if before.get(key) != after.get(key)]
    return {key: _difference(before.get(key), after.get(key)) for key in changed}


def _difference(before: Any, after: Any) -> Any:
    if isinstance(before, dict) and isinstance(after, dict):
        return _differences(before, after)
    return before
