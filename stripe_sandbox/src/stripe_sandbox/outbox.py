"""Plans webhook deliveries, disturbed as the switches say.

A delivery is an object of its own, stored in the transaction of its event, so that none is lost if
the process dies. `delivery` sends them.
"""

import hashlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from stripe_sandbox.documents import Document, IdSource, ReadOnly
from stripe_sandbox.store import Store

DELIVERY = "_delivery"
SECRET = "_webhook_secret"  # noqa: S105 - the name of a kind of object

THIN = "v2.core.event"
"""The object of a thin event, whose data is fetched: it goes to destinations of such only."""

SHUFFLE_WINDOW = 0.05
"""Seconds for which deliveries are collected before they are shuffled."""


@dataclass(frozen=True)
class WebhookTarget:
    """A URL that receives events of these types ("*": all), signed with the secret.

    A `thin` one receives thin events, and no others.
    """

    url: str
    secret: str
    events: frozenset[str] = frozenset({"*"})
    thin: bool = False


@dataclass(frozen=True)
class Endpoint:
    """A URL that receives events: from the start options, or created through the API."""

    id: str
    url: str
    secret: str
    enabled_events: frozenset[str] = frozenset({"*"})
    thin: bool = False

    def accepts(self, event: ReadOnly) -> bool:
        """Return whether the endpoint is subscribed to such events."""
        if self.thin != (event["object"] == THIN):
            return False
        return "*" in self.enabled_events or event["type"] in self.enabled_events


@dataclass(frozen=True)
class Disturbance:
    """How deliveries are disturbed, in any combination.

    `delay` is in seconds; `drop_types` and `drop_fraction` (0 to 1) are never sent; `hold` keeps
    deliveries until they are released.
    """

    duplicate: bool = False
    reorder: bool = False
    delay: float = 0.0
    drop_types: frozenset[str] = frozenset()
    drop_fraction: float = 0.0
    hold: bool = False


@dataclass
class Outbox:
    """Plans deliveries; `disturbance` applies to those planned from now on."""

    store: Store
    ids: IdSource
    targets: dict[str, Endpoint] = field(default_factory=dict)
    disturbance: Disturbance = field(default_factory=Disturbance)
    chance: random.Random = field(default_factory=random.Random)

    def add_target(self, target: WebhookTarget) -> Endpoint:
        """Add a target; the same URL has the same endpoint id across restarts."""
        digest = hashlib.sha256(target.url.encode()).hexdigest()[:24]
        id_ = f"{'ed' if target.thin else 'we'}_{digest}"
        endpoint = Endpoint(id_, target.url, target.secret, target.events, target.thin)
        self.targets[endpoint.id] = endpoint
        return endpoint

    def endpoints(self) -> Iterator[Endpoint]:
        """Yield all enabled endpoints."""
        yield from self.targets.values()
        for document in self.store.all("webhook_endpoint"):
            if document["status"] == "enabled":
                yield self._endpoint(document)

    def endpoint(self, endpoint_id: str) -> Endpoint | None:
        """Return the endpoint, or None if it is deleted or disabled."""
        return next((found for found in self.endpoints() if found.id == endpoint_id), None)

    def plan(self, event: ReadOnly) -> int:
        """Plan the event's deliveries; return how many."""
        receivers = [endpoint for endpoint in self.endpoints() if endpoint.accepts(event)]
        for endpoint in receivers:
            self.store.put(DELIVERY, self._delivery(event, endpoint))
        return len(receivers)

    def release(self) -> int:
        """Release held deliveries, disturbed as the switches say now; return how many."""
        held = list(self.store.where(DELIVERY, "state", "held"))
        with self.store.transaction():
            for delivery in held:
                self.store.put(DELIVERY, {**delivery, "state": "pending", **self._timing()})
        return len(held)

    def resend(self, delivery: ReadOnly) -> None:
        """Send a webhook once more, at once, whatever became of it."""
        again = {"state": "pending", "copies": 1, "due": time.time(), "planned": time.time()}
        event = self.store.get("event", delivery["event"])
        with self.store.transaction():
            self.store.put(DELIVERY, {**delivery, **again, "rank": 0.0})
            if event and delivery["state"] != "pending":
                event["pending_webhooks"] += 1
                self.store.put("event", event)

    def _endpoint(self, document: ReadOnly) -> Endpoint:
        secret = self.store.peek(SECRET, document["id"]) or {"secret": ""}
        events = frozenset(document["enabled_events"])
        return Endpoint(document["id"], document["url"], secret["secret"], events)

    def _delivery(self, event: ReadOnly, endpoint: Endpoint) -> Document:
        return {
            "id": self.ids.next("whd"),
            "event": event["id"],
            "type": event["type"],
            "endpoint": endpoint.id,
            "url": endpoint.url,
            "state": self._state(event["type"]),
            "copies": 2 if self.disturbance.duplicate else 1,
            "attempts": [],
            "planned": time.time(),
            **self._timing(),
        }

    def _state(self, event_type: str) -> str:
        switches = self.disturbance
        if event_type in switches.drop_types or self.chance.random() < switches.drop_fraction:
            return "dropped"
        return "held" if switches.hold else "pending"

    def _timing(self) -> Document:
        """Return when a delivery is due, and its rank among those due, which shuffles them."""
        due = time.time() + self.disturbance.delay
        if not self.disturbance.reorder:
            return {"due": due, "rank": 0.0}
        return {"due": due + SHUFFLE_WINDOW, "rank": self.chance.random()}
