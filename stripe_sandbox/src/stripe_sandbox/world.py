"""The state of a sandbox, and how objects are created, found and changed."""

import time
from dataclasses import dataclass, field
from typing import Any, Literal

import stripe

from stripe_sandbox import shapes
from stripe_sandbox.choices import Choices
from stripe_sandbox.documents import Document, IdSource, ReadOnly, copied, id_of
from stripe_sandbox.errors import no_such
from stripe_sandbox.outbox import Outbox
from stripe_sandbox.store import Store

API_VERSION = stripe.api_version
ACCOUNT_ID = "acct_1SandboxSandbox0"
ACCOUNT_COUNTRY = "US"

WALL_CLOCK = "_wall_clock"
"""How many seconds the sandbox is ahead of real time, stored like any object."""

NOUNS = {
    "file": "file upload",
    "file_link": "file link",
    "confirmation_token": "confirmation token",
    "payment_method": "PaymentMethod",
    "promotion_code": "promotion code",
    "subscription_schedule": "subscription schedule",
    "tax_rate": "tax rate",
    "test_helpers.test_clock": "test clock",
    "webhook_endpoint": "webhook endpoint",
}
"""Names of objects in messages, if not the object's own."""

PATH_PARAMS = {"payment_intent": "intent", "payment_method": "payment_method"}
"""Names of the id in the path in errors, if not `id`."""

EVENT_PREFIXES = {"subscription": "customer.subscription"}
"""Prefixes of event types, if not the object's name."""


@dataclass(frozen=True)
class Dunning:
    """What happens after a failed renewal: days between retries, the first and the final action.

    `resumes` is how a subscription resumes that was paused so, once the invoice is paid: never, or
    with its old anchor (`unchanged`) or a new one (`now`).
    At Stripe these are settings of the account, in the Dashboard.
    """

    retry_days: tuple[int, ...] = (3, 5, 7)
    final: Literal["cancel", "pause", "unpaid", "past_due"] = "cancel"
    first: Literal["pause", "past_due"] = "past_due"
    resumes: Literal["never", "now", "unchanged"] = "never"


@dataclass(frozen=True)
class Origin:
    """The request that causes events."""

    id: str | None = None
    idempotency_key: str | None = None


@dataclass
class World:
    """The objects, the ids and the time.

    `base_url` is the base of the hosted pages. `origin` is the current request. `same_second` is
    the time given to all events while that disturbance is on.
    """

    store: Store
    ids: IdSource
    outbox: Outbox
    base_url: str
    dunning: Dunning
    choices: Choices
    origin: Origin = field(default_factory=Origin)
    same_second: int | None = None

    def now(self, clock_id: str | None = None) -> int:
        """Return the Unix time of the test clock, or without one, of the sandbox's own clock."""
        if clock_id:
            clock = self.store.peek("test_helpers.test_clock", clock_id)
            if clock:
                return int(clock["frozen_time"])
        wall_clock = self.store.peek(WALL_CLOCK, WALL_CLOCK) or {"seconds_ahead": 0}
        return int(time.time()) + int(wall_clock["seconds_ahead"])

    def set_wall_clock(self, moment: int) -> None:
        """Set the sandbox's own clock to a Unix time; it keeps running from there."""
        ahead = moment - int(time.time())
        self.store.put(WALL_CLOCK, {"id": WALL_CLOCK, "seconds_ahead": ahead})

    def clock_of(self, document: ReadOnly) -> str | None:
        """Return the id of the object's test clock, its own or its customer's."""
        if document.get("test_clock"):
            return id_of(document["test_clock"])
        customer_id = id_of(document.get("customer"))
        customer = self.store.peek("customer", customer_id) if customer_id else None
        return customer.get("test_clock") if customer else None

    def time_of(self, document: ReadOnly) -> int:
        """Return the current Unix time by the object's clock."""
        return self.now(self.clock_of(document))

    def find(self, kind: str, object_id: str, param: str = "id") -> Document:
        """Return a copy of the object; raises ApiError `resource_missing` for the param."""
        document: Document = copied(self.view(kind, object_id, param))
        return document

    def view(self, kind: str, object_id: str, param: str = "id") -> ReadOnly:
        """Return the object itself, read-only; raises as `find`."""
        document = self.store.peek(kind, object_id)
        if document is None:
            path_param = PATH_PARAMS.get(kind, "id")
            in_path = param == "id"
            named = path_param if in_path else param
            raise no_such(NOUNS.get(kind, kind), object_id, named, in_path=in_path)
        return document

    def add(self, values: ReadOnly) -> Document:
        """Store a new object, completed to its full shape, and return it."""
        document: Document = copied(self.keep(values))
        return document

    def keep(self, values: ReadOnly) -> ReadOnly:
        """Store an object, completed to its full shape, and return what is stored."""
        kind = values["object"]
        before = self.store.peek(kind, values["id"])
        stored = shapes.complete(values, before or shapes.NEW)
        self.store.adopt(kind, stored)
        return stored

    def save(self, document: Document) -> Document:
        """Store the object without an event, and return it completed."""
        return self.add(document)

    def change(self, document: Document, event: str | None = None) -> Document:
        """Store the object, and send an event with `previous_attributes` if anything differs.

        The event is `<object>.updated` by default.
        """
        before = self.store.peek(document["object"], document["id"])
        after = self.keep(document)
        previous = differences(before or {}, after)
        if previous:
            name = event or f"{EVENT_PREFIXES.get(after['object'], after['object'])}.updated"
            self.announce(name, after, previous=previous)
        changed: Document = copied(after)
        return changed

    def announce(
        self, name: str, document: ReadOnly, *, previous: Document | None = None
    ) -> ReadOnly:
        """Create an event with the object, and plan its webhooks.

        It is dated by real time or by the object's test clock, see `Choices`.
        """
        data: Document = {"object": self._as_stored(document)}
        if previous is not None:
            data["previous_attributes"] = copied(previous)
        event = shapes.complete(
            {
                "id": self.ids.next("evt"),
                "object": "event",
                "api_version": API_VERSION,
                "created": self.same_second or self._event_time(document),
                "livemode": False,
                "pending_webhooks": 0,
                "request": {
                    "id": self.origin.id,
                    "idempotency_key": self.origin.idempotency_key,
                },
                "type": name,
            }
        )
        event["data"] = data
        event["pending_webhooks"] = self.outbox.plan(event)
        self.store.adopt("event", event)
        return event

    def _as_stored(self, document: ReadOnly) -> ReadOnly:
        """Return what the store has of an object, which never changes, or else a copy of it."""
        stored = self.store.peek(document["object"], document.get("id", ""))
        return stored if stored == document else copied(dict(document))

    def _event_time(self, document: ReadOnly) -> int:
        return self.now() if self.choices.event_time == "real" else self.time_of(document)


def differences(before: ReadOnly, after: ReadOnly) -> Document:
    """Return the previous values of changed fields, null for new ones; nested objects in part."""
    changed = [key for key in {**after, **before} if before.get(key) != after.get(key)]
    return {key: _difference(before.get(key), after.get(key)) for key in changed}


def _difference(before: Any, after: Any) -> Any:
    if isinstance(before, dict) and isinstance(after, dict):
        return differences(before, after)
    return before
